# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases that allocate, free, move and share ranges of files, with contents verified."""

from __future__ import annotations

from functools import partial

from harness.cases import Experiment
from suites.extent_state.support import BLOCK, MIB, QUICK, TrackedFile, case, run_jobs

__all__ = ["CASES"]


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
        "reflink",
        "dirty ranges cloned between and within files, then written to",
        QUICK,
        partial(cloning, rounds=60),
    ),
)
