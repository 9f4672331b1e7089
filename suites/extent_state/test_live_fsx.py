# SPDX-License-Identifier: GPL-2.0-or-later
"""The naive model against files of btrfs, what is refused included; and a case in which data went wrong."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from harness.bundle import Bundle
from harness.kernels import HOST, resolve
from harness.realfile import RealFile
from harness.run import Observer, RunPlan, run_cases
from harness.verdicts import Verdict
from loopdevs import Workspace
from reference.fsx import Answer, ByteFile, Kind, Mix, Operation, check, generate
from reference.fsx.testing import edges
from suites.extent_state import CASES
from suites.extent_state.support import BLOCK, layout

pytestmark = pytest.mark.live

FSX = next(case for case in CASES if case.id == "extent_state/fsx")
SEQUENCES = 300


@pytest.fixture(scope="module")
def mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("btrfs")
    with Workspace.create(folder / "run") as workspace, workspace.btrfs(layout()) as filesystem:
        filesystem.mount()
        yield filesystem.mountpoint


def new(path: Path) -> RealFile:
    path.unlink(missing_ok=True)
    file = RealFile(path, BLOCK)
    file.create()
    return file


def anything(rng: random.Random) -> Operation:
    """Return an operation that may be refused; not direct I/O, as kernels differ on what is unaligned."""
    kind = rng.choice([kind for kind in Kind if kind not in (Kind.DIRECT_READ, Kind.DIRECT_WRITE)])
    offset, length, to = (rng.choice((BLOCK * rng.randrange(6), rng.randrange(6 * BLOCK))) for _ in range(3))
    return Operation(kind, offset, max(1, length), to, rng.randrange(9))


def test_what_btrfs_refuses_the_model_refuses(mount: Path) -> None:
    refused = set()
    for seed in range(SEQUENCES):
        rng = random.Random(seed)
        operations = [anything(rng) for _ in range(12)]
        mismatch = check(new(mount / "file"), ByteFile(BLOCK), operations)
        assert mismatch is None, (str(mismatch), mismatch.operations)
        model = ByteFile(BLOCK)
        refused |= {(o.kind, a) for o in operations if isinstance(a := model.execute(o), int) and a}
    assert {kind for kind, _ in refused} == {
        *(Kind.MAP_READ, Kind.MAP_WRITE, Kind.COLLAPSE_RANGE, Kind.INSERT_RANGE),
        *(Kind.CLONE, Kind.DEDUPE, Kind.COPY),
    }


def test_what_btrfs_refuses_at_the_edges_the_model_refuses(mount: Path) -> None:
    for sequence in edges(BLOCK):
        assert (mismatch := check(new(mount / "file"), ByteFile(BLOCK), sequence)) is None, str(mismatch)


def test_what_is_generated_btrfs_does(mount: Path) -> None:
    model, mix = ByteFile(BLOCK), Mix()
    mismatch = check(new(mount / "file"), model, islice(generate(mix, random.Random(1), model), 1000))
    assert mismatch is None, str(mismatch)


def test_a_wrong_byte_on_btrfs_fails_the_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through recording and judging, so the verdict is what users would get."""
    execute = RealFile.execute

    def damage(self: RealFile, operation: Operation) -> Answer:
        answer = execute(self, operation)
        if operation.kind is Kind.PUNCH_HOLE and operation.offset < self.path.stat().st_size:
            with self.path.open("r+b") as f:
                f.seek(operation.offset)
                f.write(b"!")
        return answer

    monkeypatch.setattr(RealFile, "execute", damage)
    plan = RunPlan([FSX], [resolve(HOST)], tmp_path / "out", tmp_path / "work", seed=1)
    (row,) = run_cases(plan, Observer())
    (verdict,) = row.verdicts
    assert verdict.verdict is Verdict.FAIL
    (data,) = [check for check in verdict.checks if check.name == "data"]
    assert data.verdict is Verdict.FAIL
    assert "is 0x21 instead of 0x00" in data.detail
    assert "; 2. punch_hole 0..0 (1 bytes); 3. read 0..1 (2 bytes)" in data.detail
    steps = Bundle.open(tmp_path / "out" / HOST / "extent_state-fsx").json("steps.json")
    shrunk = [step["result"] for step in steps if step["name"] == "shrunk"]
    assert shrunk[1:] == ["  2. punch_hole 0..0 (1 bytes)", "  3. read 0..1 (2 bytes)"]
