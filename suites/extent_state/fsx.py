# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases that do random operations to one file and hold every byte read against the naive model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice

from harness.cases import Experiment
from harness.errors import InfrastructureError
from harness.fileops import DataMismatchError
from harness.realfile import RealFile
from reference.fsx import (
    ByteFile,
    Kind,
    Mismatch,
    Mix,
    Operation,
    check,
    generate,
    listing,
    shrink,
)
from suites.extent_state.support import AUTO, BLOCK, KIB, MIB, QUICK, STRESS, LoggedFile, case

__all__ = ["CASES", "CHANGING", "random_operations"]

SMALL = Mix(max_size=MIB, max_length=64 * KIB, block=BLOCK)
LARGE = replace(
    SMALL,
    max_size=4 * MIB,
    max_length=256 * KIB,
    # By cloning, one of these may be a thousand operations of the kernel's.
    weights={**SMALL.weights, Kind.COLLAPSE_RANGE: 2, Kind.INSERT_RANGE: 2},
)
MOVING = replace(
    SMALL,
    weights={
        Kind.WRITE: 4,
        Kind.MAP_WRITE: 1,
        Kind.COLLAPSE_RANGE: 3,
        Kind.INSERT_RANGE: 3,
        Kind.READ: 2,
        Kind.FSYNC: 1,
    },
)
CHANGING = replace(
    SMALL,
    max_size=2 * MIB,
    weights={
        **dict.fromkeys((Kind.WRITE, Kind.DIRECT_WRITE, Kind.MAP_WRITE, Kind.TRUNCATE, Kind.CLONE), 2),
        **dict.fromkeys((Kind.PUNCH_HOLE, Kind.ZERO_RANGE, Kind.ALLOCATE, Kind.RESERVE), 2),
        Kind.FSYNC: 1,
    },
)
"""For small records: nothing that leaves the states alone, or makes many operations of one."""
SHOWN = 12
"""A sequence of up to so many operations is told in full in the verdict; all are in the log of steps."""
EXECUTED = 60_000
"""How many operations shrinking may execute, about: seconds, so that the case's deadline is far."""


def random_operations(exp: Experiment, count: int, mix: Mix = SMALL) -> None:
    """Do `count` operations to a file; compare what each answers, and at the end all of it, twice."""
    file, model = LoggedFile(exp, "fsx"), ByteFile(BLOCK)
    exp.step("create", file.real.create)
    operations = _with_checkpoint(exp, islice(generate(mix, exp.rng, model), count), count // 2)
    mismatch = check(file, model, operations)
    if mismatch:
        raise DataMismatchError(_told(exp, mismatch))
    exp.step("done by cloning", ", ".join, sorted(file.real.by_cloning))
    exp.sync()
    exp.checkpoint("synced")


def _with_checkpoint(exp: Experiment, operations: Iterable[Operation], at: int) -> Iterator[Operation]:
    for number, operation in enumerate(operations):
        if number == at:
            exp.checkpoint("midway")
        yield operation


def _told(exp: Experiment, mismatch: Mismatch) -> str:
    """Return one line about the smallest sequence that goes wrong, which is logged line by line as well."""
    count = len(mismatch.operations)
    try:
        smallest = exp.step("shrink", _shrunk, exp, mismatch)
        for line in listing(smallest.operations) if smallest else ():
            exp.step("shrunk", str, line)
    except (InfrastructureError, OSError) as error:
        # The mismatch is what matters, whatever became of its analysis.
        return f"{mismatch} (operation {count}; shrinking broke off: {error}; all are in steps.json)"
    if smallest is None:
        return f"{mismatch} (operation {count}; it did not happen again; all are in steps.json)"
    lines = [line.strip() for line in listing(smallest.operations)]
    if len(lines) > SHOWN:
        lines = [f"{len(lines)} operations, see the steps 'shrunk'"]
    return f"{smallest} (shrunk from {count} operations): {'; '.join(lines)}"


def _shrunk(exp: Experiment, mismatch: Mismatch) -> Mismatch | None:
    def again(operations: Sequence[Operation]) -> Mismatch | None:
        file = RealFile(exp.mount / "fsx-again", BLOCK, exp.remount)
        file.path.unlink(missing_ok=True)
        file.create()
        return check(file, ByteFile(BLOCK), operations)

    first = again(mismatch.operations)
    if first is None:
        return None
    tries = max(50, EXECUTED // len(first.operations))
    smallest = shrink(first.operations, lambda operations: again(operations) is not None, tries, BLOCK)
    return again(smallest) or first


CASES = (
    case(
        "fsx",
        "every file operation in random order on one file, every byte read compared",
        QUICK,
        partial(random_operations, count=300),
    ),
    case(
        "fsx-large",
        "as fsx, 6,000 operations on 4 MiB",
        AUTO,
        partial(random_operations, count=6000, mix=LARGE),
        deadline_s=300,
    ),
    case(
        "fsx-stress",
        "as fsx, 30,000 operations on 4 MiB",
        STRESS,
        partial(random_operations, count=30000, mix=LARGE),
        deadline_s=1800,
    ),
    case(
        "collapse-insert",
        "ranges taken out and put in, by cloning where there is no COLLAPSE_RANGE (btrfs)",
        QUICK,
        partial(random_operations, count=100, mix=MOVING),
    ),
)
