# SPDX-License-Identifier: GPL-2.0-or-later
"""What a case is, and what a case function may do to the experiment it runs in."""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from harness.fio import FioJob, FioResult
    from harness.kernels import Kernel
    from loopdevs import BcacheLayout, BtrfsLayout

__all__ = ["Case", "Experiment", "find_case", "suite_cases"]


class Experiment(Protocol):
    """The running experiment as a case function sees it: a mounted file system under capture."""

    mount: Path
    """Mount point of the file system under test."""
    seed: int
    """Seed of this run of the case."""
    rng: random.Random
    """Random numbers of the case, seeded from `seed` and the case's name."""

    def fio(self, job: FioJob) -> FioResult:
        """Run a fio job in `mount`; job file, JSON and taskstats go into the bundle."""

    def btrfs(self, *arguments: str | Path) -> str:
        """Run `btrfs ARGUMENTS` (logged as a step) and return its output."""

    def step(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call `function(*arguments)`, logged in the op log as `name` with its arguments and result."""

    def checkpoint(self, name: str) -> None:
        """Wait until the kernel is quiet and record the ground truth (every tree, every state)."""

    def sync(self) -> None:
        """syncfs(2) on the mount."""

    def remount(self, options: Sequence[str] = ()) -> None:
        """Unmount and mount again, with other options if given; the capture goes on."""


def _anywhere(_kernel: Kernel) -> Sequence[str]:
    return ()


@dataclass(frozen=True)
class Case:
    """One experiment, declared in `suites/`."""

    id: str
    """`SUITE/NAME`, lower case with dashes."""
    title: str
    """One line: what is done and what it puts to the test."""
    groups: frozenset[str]
    """Among quick, auto, stress, claims, data; a quick case is also in auto."""
    layout: BtrfsLayout | BcacheLayout
    """Devices, profiles and mount options of a file system; or devices, sizes and mode of a cache."""
    run: Callable[[Experiment], None]
    """The workload."""
    deadline_s: float = 120.0
    """After this long the case is given up as lost infrastructure, s."""
    capture: str | None = None
    """What records it (`harness.capture.choice`); None for what the run was told."""
    why_not: Callable[[Kernel], Sequence[str]] = _anywhere
    """Makes ready on the host what the case needs of a kernel; every reason why it cannot run there."""

    @property
    def folder(self) -> str:
        """The name of its bundle's folder: suites have cases of the same name."""
        return self.id.replace("/", "-")

    @property
    def suite(self) -> str:
        """The suite part of `id`."""
        return self.id.split("/")[0]


def suite_cases(suite: str) -> tuple[Case, ...]:
    """Return the cases of a suite: what its package, in `suites/`, calls CASES."""
    cases: tuple[Case, ...] = importlib.import_module(f"suites.{suite}").CASES
    return cases


def find_case(name: str) -> Case:
    """Return the case with this id, which exists: another part of this program has it."""
    return next(case for case in suite_cases(name.partition("/")[0]) if case.id == name)
