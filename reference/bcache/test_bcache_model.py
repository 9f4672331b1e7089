# SPDX-License-Identifier: GPL-2.0-or-later
"""The btree model under random work: its invariants, and a dict that knows every sector."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from reference.bcache.behaviour import Behaviour
from reference.bcache.structs import Replacement
from reference.bcache.testing import Work

OPERATIONS = int(os.environ.get("IODIFF_BCACHE_OPERATIONS", "600"))


@pytest.mark.timeout(0 if OPERATIONS > 600 else 300)
@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_lost_and_nothing_old_comes_back(seed: int) -> None:
    work = Work(seed).run(OPERATIONS)
    assert work.splits[0, True]
    assert work.splits[0, False]
    assert work.outcomes["DONE"]
    assert work.outcomes["COLLISION"]
    assert work.requests.collections


def test_as_6_12_does_it() -> None:
    work = Work(7, behaviour=Behaviour.linux_6_12).run(300)
    assert work.requests.collections
    assert work.requests.pauses == []


def test_first_in_first_out() -> None:
    assert Work(8, replacement=Replacement.FIFO).run(300).splits


def test_what_is_done_depends_on_the_seed_alone() -> None:
    def done(seed: int) -> tuple[Counter[int], Counter[tuple[int, bool]], list[str]]:
        work = Work(seed).run(150, 150)
        return work.statuses, work.splits, [str(k) for k in work.requests.cached()]

    assert done(1) == done(1)
    assert done(1) != done(2)
