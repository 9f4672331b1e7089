# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases that allocate, free, move and share ranges of files, with contents verified."""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import partial
from pathlib import Path

from harness import fileops
from harness.cases import Experiment
from harness.fileops import FallocateMode
from suites.extent_state.support import AUTO, BLOCK, MIB, QUICK, STRESS, TrackedFile, case, run_jobs

__all__ = ["CASES", "anything"]


def preallocation(exp: Experiment, rounds: int) -> None:
    """Preallocate inside and beyond the size, write into it in parts."""
    file = TrackedFile(exp, "preallocated")
    file.preallocate(0, 4 * MIB)
    file.preallocate_beyond(4 * MIB, 4 * MIB)
    for number in range(rounds):
        start, length = _blocks_below(exp, 8 * MIB, most=16)
        (file.preallocate, file.write, file.write, file.preallocate_beyond)[number % 4](start, length)
    exp.checkpoint("dirty")
    run_jobs(exp, "falloc", {"f": {"rw": "randwrite", "size": "4m", "fallocate": "posix", "fsync": 64}})
    _finish(exp, file)


def punching(exp: Experiment, rounds: int) -> None:
    """Punch holes into dirty and into written data, at odd offsets too."""
    file = TrackedFile(exp, "punched")
    file.write(0, 4 * MIB)
    for number in range(rounds):
        if number % 2:
            file.write(*_bytes_below(exp, 4 * MIB))
        file.punch_hole(*_bytes_below(exp, 4 * MIB))
        if number == rounds // 2:
            exp.checkpoint("midway")
            file.fsync()
    _finish(exp, file)


def zeroing(exp: Experiment, rounds: int) -> None:
    """Zero ranges of dirty and written data, some across the end of the file."""
    file = TrackedFile(exp, "zeroed")
    file.write(0, 2 * MIB)
    for number in range(rounds):
        file.zero_range(*_bytes_below(exp, 2 * MIB + 64 * BLOCK))
        file.write(*_bytes_below(exp, 2 * MIB))
        if number == rounds // 2:
            exp.checkpoint("midway")
            file.fsync()
    _finish(exp, file)


def truncating(exp: Experiment, rounds: int) -> None:
    """Cut and extend a file under dirty pages, at odd sizes."""
    file = TrackedFile(exp, "truncated")
    file.write(0, 2 * MIB)
    for number in range(rounds):
        file.truncate(exp.rng.randrange(2 * MIB))
        file.write(*_bytes_below(exp, 2 * MIB))
        if number % 8 == 0:
            file.fsync()
        if number == rounds // 2:
            exp.checkpoint("midway")
    file.truncate(0)
    file.truncate(MIB + 1)
    file.write(MIB // 2, 3)
    _finish(exp, file)


def collapsing(exp: Experiment, rounds: int) -> None:
    """Take ranges out of a file and put ranges in: btrfs has no fallocate mode for it, so by cloning."""
    file = TrackedFile(exp, "collapsed")
    file.write(0, 2 * MIB)
    for mode in (FallocateMode.COLLAPSE_RANGE, FallocateMode.INSERT_RANGE):
        exp.step(f"fallocate {mode.name}", _refusal, file.path, mode, 2 * MIB)
    for number in range(rounds):
        start, length = (BLOCK * exp.rng.randrange(32, 128) for _ in range(2))
        _collapse(file, start, length)
        _insert(file, start, length)
        file.write(start, exp.rng.randrange(1, length))
        if number == rounds // 2:
            exp.checkpoint("midway")
    _finish(exp, file)


def _refusal(path: Path, mode: FallocateMode, size: int) -> str:
    # Asked beyond the end, a kernel that knows the mode refuses as well (EINVAL), and nothing changes.
    try:
        fileops.fallocate(path, mode, size, BLOCK)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EINVAL):
            return errno.errorcode[error.errno]
        raise
    return "accepted"


# A clone within one file must not overlap itself: so the tail moves in pieces as long as the distance.
def _collapse(file: TrackedFile, start: int, length: int) -> None:
    size = len(file.data)
    for piece in range(start + length, size, length):
        file.clone_from(file, piece, min(length, size - piece), piece - length)
    file.truncate(size - length)


def _insert(file: TrackedFile, start: int, length: int) -> None:
    size = len(file.data)
    for piece in reversed(range(start, size, length)):
        file.clone_from(file, piece, min(length, size - piece), piece + length)
    file.punch_hole(start, length)


def cloning(exp: Experiment, rounds: int) -> None:
    """Clone ranges between two files and within one, while they are dirty; then write into shared extents."""
    files = [TrackedFile(exp, "cloned-a"), TrackedFile(exp, "cloned-b")]
    for file in files:
        file.write(0, 2 * MIB)
    for number in range(rounds):
        source, target = exp.rng.choice(files), exp.rng.choice(files)
        start, length = _blocks_below(exp, MIB, most=32)
        target.clone_from(source, start, length, MIB + start)
        target.write(*_bytes_below(exp, 2 * MIB))
        if number == rounds // 2:
            exp.checkpoint("midway")
    _finish(exp, *files)


def anything(exp: Experiment, rounds: int) -> None:
    """Every operation in a random order on two files."""
    files = [TrackedFile(exp, "any-a"), TrackedFile(exp, "any-b")]
    for file in files:
        file.write(0, MIB)
    for number in range(rounds):
        _any_operation(exp, exp.rng.choice(files), exp.rng.choice(files))
        if number % 16 == 0:
            exp.rng.choice(files).fsync()
        if number == rounds // 2:
            exp.checkpoint("midway")
    _finish(exp, *files)


def _any_operation(exp: Experiment, file: TrackedFile, other: TrackedFile) -> None:
    start, length = _blocks_below(exp, MIB, most=32)
    odd_start, odd_length = _bytes_below(exp, 2 * MIB)
    operations: list[Callable[[], None]] = [
        partial(file.write, odd_start, odd_length),
        partial(file.direct_write, start, length),
        partial(file.punch_hole, odd_start, odd_length),
        partial(file.zero_range, odd_start, odd_length),
        partial(file.preallocate, odd_start, odd_length),
        partial(file.preallocate_beyond, odd_start, odd_length),
    ]
    if len(file.data) > 2 * BLOCK:
        at = exp.rng.randrange(len(file.data) - BLOCK)
        operations += [partial(file.map_write, at, BLOCK), partial(file.truncate, at)]
    if len(other.data) >= start + length:
        operations.append(partial(file.clone_from, other, start, length, MIB + start))
    exp.rng.choice(operations)()


def _blocks_below(exp: Experiment, end: int, most: int) -> tuple[int, int]:
    """Return a random offset and length of up to `most` blocks, aligned, ending by `end`."""
    blocks = exp.rng.randrange(1, most + 1)
    return BLOCK * exp.rng.randrange(end // BLOCK - blocks + 1), BLOCK * blocks


def _bytes_below(exp: Experiment, end: int) -> tuple[int, int]:
    """Return a random offset and length of up to 16 blocks, not aligned, ending by `end`."""
    length = exp.rng.randrange(1, 16 * BLOCK)
    return exp.rng.randrange(end - length), length


def _finish(exp: Experiment, *files: TrackedFile) -> None:
    exp.sync()
    for file in files:
        file.verify()
    exp.checkpoint("synced")


CASES = (
    case(
        "fallocate",
        "preallocation within and beyond the size, partly written",
        QUICK,
        partial(preallocation, rounds=100),
    ),
    case(
        "punch-hole",
        "holes punched into dirty and written data",
        QUICK,
        partial(punching, rounds=100),
    ),
    case(
        "zero-range",
        "ranges zeroed in dirty and written data, across the end too",
        QUICK,
        partial(zeroing, rounds=60),
    ),
    case(
        "truncate",
        "a file cut and extended under dirty pages",
        QUICK,
        partial(truncating, rounds=60),
    ),
    case(
        "collapse-insert",
        "ranges taken out and put in by cloning (btrfs has no COLLAPSE_RANGE)",
        QUICK,
        partial(collapsing, rounds=4),
    ),
    case(
        "reflink",
        "dirty ranges cloned between and within files, then written to",
        QUICK,
        partial(cloning, rounds=60),
    ),
    case(
        "any-operation",
        "every file operation in random order on two files, verified",
        QUICK,
        partial(anything, rounds=300),
    ),
    case(
        "any-operation-large",
        "as any-operation, 4,000 operations",
        AUTO,
        partial(anything, rounds=4000),
        deadline_s=300,
    ),
    case(
        "any-operation-stress",
        "as any-operation, 20,000 operations",
        STRESS,
        partial(anything, rounds=20000),
        deadline_s=1800,
    ),
)
