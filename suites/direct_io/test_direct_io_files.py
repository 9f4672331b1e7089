# SPDX-License-Identifier: GPL-2.0-or-later
"""Plans of files: what they hold in the end, and that a bundle keeps all of them."""

from __future__ import annotations

import json
import random

from harness.direct_io.plan import Action, Plan, Step, contents, plan_of_json, plan_to_json, written
from suites.direct_io.files import random_plan


def test_a_seed_makes_one_plan() -> None:
    plans = [random_plan(random.Random(seed), 9) for seed in (1, 1, 2)]
    assert plans[0] == plans[1] != plans[2]
    assert len(plans[0].read) == 10 + 4
    assert {step.action for step in plans[0].steps} == set(Action)


def test_a_bundle_keeps_all_of_a_plan() -> None:
    plan = random_plan(random.Random(3), 9)
    assert plan_of_json(json.loads(json.dumps(plan_to_json(plan)))) == plan


def test_every_block_that_is_written_is_different() -> None:
    data = written(Step(Action.WRITE, "f", 0, 4 * 4096 + 5, seed=1))
    blocks = [data[at : at + 4096] for at in range(0, len(data), 4096)]
    assert (len(data), len(set(blocks))) == (4 * 4096 + 5, 5)
    assert data != written(Step(Action.WRITE, "f", 0, 4 * 4096 + 5, seed=2))


def test_what_files_hold_in_the_end() -> None:
    write = Step(Action.WRITE, "donors/a", 4096, 8192, seed=7)
    plan = Plan(
        [
            write,
            Step(Action.SHARE, "files/b", 4096, 4096, source="donors/a", source_offset=4096),
            Step(Action.SHARE, "files/b", 8192, source="donors/a"),
            Step(Action.ALLOCATE, "files/b", 0, 30000),
            Step(Action.RESERVE, "files/b", 40000, 4096),
            Step(Action.TRUNCATE, "files/c", length=5),
            Step(Action.TRUNCATE, "donors/a", length=5000),
        ],
        ["files/b", "snapshot/c"],
    )
    data = written(write)
    held = contents(plan)
    assert held["donors/a"] == bytes(4096) + data[: 5000 - 4096]
    assert held["files/b"] == (bytes(4096) + data[:4096] + bytes(4096) + data).ljust(30000, b"\0")
    assert held["snapshot/c"] == bytes(5)


def test_to_share_an_empty_file_does_nothing() -> None:
    steps = [
        Step(Action.CREATE, "donors/a"),
        Step(Action.SHARE, "files/b", 8192, source="donors/a"),
    ]
    assert contents(Plan(steps, ["files/b"]))["files/b"] == b""
