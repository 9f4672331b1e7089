# SPDX-License-Identifier: GPL-2.0-or-later
"""The fsx cases on files of this directory: what they tell of a file that lost a byte."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.errors import InfrastructureError
from harness.fileops import DataMismatchError
from harness.realfile import RealFile
from reference.fsx import Answer, Kind, Mix, Operation
from suites.extent_state import CASES
from suites.extent_state.fsx import random_operations
from suites.extent_state.testing import FileExperiment

FSX = next(case for case in CASES if case.id == "extent_state/fsx")
BASIC = Mix({Kind.WRITE: 3, Kind.TRUNCATE: 2, Kind.READ: 2, Kind.MAP_WRITE: 2, Kind.FSYNC: 1})
"""What any file system can do."""


@pytest.fixture
def experiment(tmp_path: Path) -> FileExperiment:
    return FileExperiment(tmp_path, FSX)


def damaged(monkeypatch: pytest.MonkeyPatch, times: int = 1 << 30) -> None:
    """Have the file's first byte changed in the first so many remounts: there is one, at the end."""
    execute, count = RealFile.execute, 0

    def damage(self: RealFile, operation: Operation) -> Answer:
        nonlocal count
        answer = execute(self, operation)
        if operation.kind is Kind.REMOUNT and count < times:
            count += 1
            if data := self.path.read_bytes():
                self.path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
        return answer

    monkeypatch.setattr(RealFile, "execute", damage)


def test_a_healthy_file_passes(experiment: FileExperiment) -> None:
    random_operations(experiment, 200, BASIC)
    names = [name for name, _ in experiment.results]
    assert names[0] == "create"
    assert {"write fsx", "truncate fsx", "map_write fsx", "fsync fsx", "remount fsx"} <= set(names)
    assert names[-4:] == ["verify read fsx", "remount fsx", "verify read fsx", "done by cloning"]
    assert experiment.checkpoints == ["midway", "synced"]


def test_reads_count_as_verifying_steps(experiment: FileExperiment) -> None:
    random_operations(experiment, 200, BASIC)
    for name, result in experiment.results:
        assert name.startswith("verify") == isinstance(result, bytes)


def test_a_wrong_byte_is_told_with_the_smallest_sequence(
    experiment: FileExperiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged(monkeypatch)
    with pytest.raises(DataMismatchError) as mismatch:
        random_operations(experiment, 200, BASIC)
    text = str(mismatch.value)
    assert "\n" not in text
    assert "byte 0 is 0x" in text
    assert text.endswith("; 2. read 0..1 (2 bytes); 3. remount; 4. read 0..1 (2 bytes)")
    shrunk = [result for name, result in experiment.results if name == "shrunk"]
    assert len(shrunk) == 4
    assert shrunk[2:] == ["  3. remount", "  4. read 0..1 (2 bytes)"]
    assert experiment.checkpoints == ["midway"]


def test_what_does_not_happen_again_is_told_as_it_was(
    experiment: FileExperiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged(monkeypatch, times=1)
    with pytest.raises(DataMismatchError, match=r"byte 0 is .* it did not happen again; all are in steps"):
        random_operations(experiment, 200, BASIC)


@pytest.mark.parametrize(
    "broken", [InfrastructureError("the case did not end"), OSError(errno.ENOSPC, "No space left")]
)
def test_a_mismatch_outlives_its_analysis(
    experiment: FileExperiment, monkeypatch: pytest.MonkeyPatch, broken: Exception
) -> None:
    def shrink(*_arguments: object) -> Sequence[Operation]:
        raise broken

    damaged(monkeypatch)
    monkeypatch.setattr("suites.extent_state.fsx.shrink", shrink)
    with pytest.raises(DataMismatchError, match=r"byte 0 is .* shrinking broke off: .*(end|space)"):
        random_operations(experiment, 200, BASIC)
