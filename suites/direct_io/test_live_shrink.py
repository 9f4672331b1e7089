# SPDX-License-Identifier: GPL-2.0-or-later
"""A wrong model on the running kernel: what is not as it predicts shrinks to a few lines, and repeats."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.bundle import Bundle
from harness.direct_io.script import script
from harness.direct_io.smallest import Smallest, smallest
from harness.errors import UserError
from harness.kernels import HOST, resolve
from harness.run import Observer, RunPlan, run_cases
from loopdevs import Workspace
from suites.direct_io.cases import CASES
from suites.direct_io.fault import broken
from suites.direct_io.reader_faults import READER_FAULTS

pytestmark = pytest.mark.live

TRIES = 150
FAULTS = {fault.name: fault for fault in READER_FAULTS}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles that pass: of reads, and of reads of damaged files."""
    folder = tmp_path_factory.mktemp("recorded")
    chosen = [case for case in CASES if case.id in ("direct_io/data-dup", "direct_io/data-damaged-raid1c3")]
    assert len(chosen) == 2
    run_cases(RunPlan(chosen, [resolve(HOST)], folder / "out", folder / "work", seed=7), Observer())
    return folder / "out/host"


@contextmanager
def _workspace(folder: Path) -> Iterator[Workspace]:
    with Workspace.create(folder / "work") as workspace:
        yield workspace


def _run(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    file = folder / "repeat.sh"
    file.write_text(text)
    room = folder / "room"
    room.mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(room)}
    done = subprocess.run(
        ["bash", file], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert list(room.iterdir()) == []
    return done


def _repeats(found: Smallest, fault: str, folder: Path) -> None:
    """The script shows the same check to fail; with the model as it is, that all is as predicted."""
    with broken(FAULTS[fault]):
        wrong = _run(script(found.trial, found.check), folder)
    assert wrong.returncode == 1, wrong
    assert re.search(rf"^ *{found.check}: .*DIFFERENT", wrong.stdout, re.MULTILINE), wrong
    right = _run(script(found.trial, found.check), folder)
    assert right.returncode == 0, right
    assert "DIFFERENT" not in right.stdout
    assert right.stdout.count("as the model says") >= 5


@pytest.mark.timeout(500)
@pytest.mark.parametrize(
    ("fault", "bundle", "steps", "length"),
    [
        ("stops-at-the-end", "data-dup", 2, 64 * 1024),
        ("last-one-repaired", "data-damaged-raid1c3", 3, 64 * 1024),
    ],
)
def test_what_a_wrong_model_gets_wrong_becomes_small(
    recorded: Path, tmp_path: Path, fault: str, bundle: str, steps: int, length: int
) -> None:
    opened = Bundle.open(recorded / f"direct_io-{bundle}")
    with _workspace(tmp_path) as workspace, broken(FAULTS[fault]):
        found = smallest(opened, workspace, TRIES)
    scene = found.trial.scene
    assert len(scene.reads) == 1
    assert len(scene.steps) <= steps
    assert sum(vector.iov_len for vector in scene.reads[0].read.iov) <= length
    assert scene.layout.devices <= 3
    _repeats(found, fault, tmp_path)


def test_of_a_right_model_there_is_nothing_to_shrink(recorded: Path, tmp_path: Path) -> None:
    with _workspace(tmp_path) as workspace, pytest.raises(UserError, match="every read is as predicted"):
        smallest(Bundle.open(recorded / "direct_io-data-dup"), workspace, TRIES)
