# SPDX-License-Identifier: GPL-2.0-or-later
"""What the benchmarks share: a place to work, ways measured side by side, and how figures are shown.

Absolute times differ between machines and hours; what is compared is compared within one run, in turns.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.errors import EXIT_UNDECIDED, EXIT_USAGE, InfrastructureError, UserError
from loopdevs import LoopdevsError, Workspace, live_skip_reasons

__all__ = ["arguments", "in_turns", "median_range", "run", "show_machine", "workspace"]

WORK_ROOT = Path("/var/tmp")


def arguments(description: str, **numbers: tuple[int, str]) -> argparse.Namespace:
    """Parse the command line: `--deadline` and whole numbers, each with its default and what it is."""
    parser = argparse.ArgumentParser(description=description)
    numbers = {**numbers, "deadline": (110, "no new repetition begins after this many seconds")}
    for name, (default, text) in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{text} (default {default})")
    return parser.parse_args()


def run(main: Callable[[], None]) -> None:
    """Run `main`; what stops it early is one line and an exit code."""
    try:
        main()
    except (UserError, LoopdevsError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        sys.exit(EXIT_USAGE)
    except InfrastructureError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        sys.exit(EXIT_UNDECIDED)


@contextmanager
def workspace() -> Iterator[Workspace]:
    """Make a workspace for devices and remove it; UserError where devices cannot be made."""
    if reasons := live_skip_reasons():
        raise UserError(f"this benchmark records on the real kernel: {'; '.join(reasons)}")
    with (
        tempfile.TemporaryDirectory(prefix="iodiff-benchmark-", dir=WORK_ROOT) as folder,
        Workspace.create(Path(folder) / "run") as made,
    ):
        yield made


def in_turns(
    ways: Mapping[str, Callable[[], float]], repetitions: int, deadline: float
) -> dict[str, list[float]]:
    """Measure every way `repetitions` times, A B C then C B A; fewer rounds when `deadline` passes.

    `deadline` is a time of time.monotonic(), s. What a way returns is its measurement.
    """
    measured: dict[str, list[float]] = {name: [] for name in ways}
    order = list(ways)
    for number in range(repetitions):
        if number and time.monotonic() > deadline:
            print(f"deadline: {number} of {repetitions} rounds")
            break
        for name in order:
            measured[name].append(ways[name]())
        order.reverse()
    return measured


def median_range(values: Sequence[float], form: str = ".2f") -> str:
    """Return the median, and the least and the greatest value."""
    return f"{statistics.median(values):{form}} ({min(values):{form}}-{max(values):{form}})"


def show_machine() -> None:
    """Print what the figures were measured on."""
    system = os.uname()
    print(
        f"{time.strftime('%Y-%m-%d')}, {system.sysname} {system.release} {system.machine}, "
        f"{os.cpu_count()} CPUs, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    )
