# SPDX-License-Identifier: GPL-2.0-or-later
"""Experiments for tests of the cases: nothing is mounted, recorded or judged."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness.cases import Case
from harness.fio import FioResult
from harness.fiojob import FioJob
from harness.realfile import RealFile
from reference.fsx import ByteFile, Operation
from suites.extent_state.support import BLOCK

__all__ = ["FileExperiment", "RecordingExperiment"]


class RecordingExperiment:
    """Takes down what a case asks for; does nothing, and answers as a healthy file system would."""

    def __init__(self, case: Case, seed: int) -> None:
        self.mount = Path("/nowhere")
        self.seed = seed
        self.rng = random.Random(f"{seed}/{case.id}")
        self.asked: list[str] = []
        self.checkpoints: list[str] = []
        self.files: defaultdict[Path, ByteFile] = defaultdict(lambda: ByteFile(BLOCK))

    def fio(self, job: FioJob) -> FioResult:
        """See `Experiment.fio`."""
        self.asked.append(job.render())
        return FioResult("fio-3.28", (), {})

    def btrfs(self, *arguments: str | Path) -> str:
        """See `Experiment.btrfs`."""
        self.asked.append(f"btrfs {arguments}")
        return "devid 1\nNo balance found\n"

    def step(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """See `Experiment.step`."""
        assert all(isinstance(a, str | int | Path | list | Operation) for a in arguments), "the log tells all"
        self.asked.append(f"{name} {arguments}")
        file = getattr(function, "__self__", None)
        if isinstance(file, RealFile) and arguments:
            return self.files[file.path].execute(*arguments)
        return {"errors": 0, "bytes": 0} if name == "scrub" else None

    def checkpoint(self, name: str) -> None:
        """See `Experiment.checkpoint`."""
        self.checkpoints.append(name)

    def sync(self) -> None:
        """See `Experiment.sync`."""
        self.asked.append("sync")

    def remount(self, options: Sequence[str] = ()) -> None:
        """See `Experiment.remount`."""
        self.asked.append(f"remount {options}")


class FileExperiment(RecordingExperiment):
    """Really calls the steps, in a directory, and takes down what they return."""

    def __init__(self, mount: Path, case: Case) -> None:
        super().__init__(case, 1)
        self.mount = mount
        self.results: list[tuple[str, Any]] = []

    def step(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """See `Experiment.step`."""
        result = function(*arguments)
        self.results.append((name, result))
        return result
