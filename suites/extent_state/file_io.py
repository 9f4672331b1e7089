# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases that read and write files: buffered, direct, mapped, and all of them on one file."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from harness import fileops
from harness.cases import Experiment
from harness.fiojob import Options
from suites.extent_state.support import (
    AUTO,
    BLOCK,
    GIB,
    MIB,
    MIXED,
    QUICK,
    STRESS,
    TrackedFile,
    case,
    layout,
    run_jobs,
)

__all__ = ["CASES"]

Sections = dict[str, Options]
"""fio sections by name."""


def buffered_fsync(exp: Experiment, mib: int) -> None:
    """Random buffered writes, fsync after every 32; read back and verified."""
    writer: Options = {"rw": "randwrite", "size": f"{mib}m", "fsync": 32, "verify": "crc32c"}
    run_jobs(exp, "buffered-fsync", {"a": writer, "b": {**writer, "bs": "4k-64k"}})
    exp.checkpoint("written")
    exp.sync()
    exp.checkpoint("synced")


def direct_random(exp: Experiment, mib: int) -> None:
    """Random direct writes with verification, then direct reads and writes at depth 8."""
    common: dict[str, str | int] = {
        "direct": 1,
        "ioengine": "libaio",
        "iodepth": 8,
        "size": f"{mib}m",
        "filename": "direct",
    }
    run_jobs(exp, "direct-write", {"w": {"rw": "randwrite", "verify": "crc32c"}}, **common)
    exp.checkpoint("written")
    mixed: Options = {"rw": "randrw", "bs": "4k-32k", "norandommap": None}
    run_jobs(exp, "direct-mixed", {"a": mixed, "b": mixed}, **common)
    exp.sync()
    exp.checkpoint("synced")


def mixed_one_file(exp: Experiment, mib: int) -> None:
    """Buffered, direct and mapped readers and writers on one file at the same time."""
    jobs: Sections = {
        "buffered": {"rw": "randrw", "fsync": 64},
        "direct": {"rw": "randrw", "direct": 1, "bs": "4k-16k"},
        "mapped": {"rw": "randrw", "ioengine": "mmap"},
        "reader": {"rw": "read", "bs": "64k", "invalidate": 1},
    }
    run_jobs(exp, "mixed", jobs, **MIXED, filename="mixed", size=f"{mib}m", norandommap=None)
    exp.checkpoint("dirty")
    exp.sync()
    exp.checkpoint("synced")


def mapped(exp: Experiment, mib: int) -> None:
    """Random stores through mappings by fio, and page-crossing ones that are verified."""
    run_jobs(exp, "mmap", {"m": {"rw": "randwrite", "ioengine": "mmap", "size": f"{mib}m", "fsync": 256}})
    file = TrackedFile(exp, "tracked")
    file.truncate(2 * MIB)
    for number in range(100):
        length = exp.rng.randrange(1, 3 * BLOCK)
        file.map_write(exp.rng.randrange(2 * MIB - length), length)
        if number % 2:
            file.fsync()
    exp.checkpoint("mapped")
    exp.sync()
    file.verify()
    exp.checkpoint("synced")


def direct_over_dirty(exp: Experiment, rounds: int) -> None:
    """Direct writes and reads over ranges whose pages are dirty: they wait for ordered extents."""
    file = TrackedFile(exp, "overlap")
    file.write(0, 4 * MIB)
    for number in range(rounds):
        start = BLOCK * exp.rng.randrange(file.blocks - 64)
        file.write(start, 32 * BLOCK)
        file.direct_write(start + BLOCK * exp.rng.randrange(16), BLOCK * exp.rng.randrange(1, 32))
        if number % 4 == 0:
            exp.step("direct_read", _direct_read_length, file.path, start, 32 * BLOCK)
        if number == rounds // 2:
            exp.checkpoint("midway")
    exp.sync()
    file.verify()
    exp.checkpoint("synced")


def _direct_read_length(path: Path, offset: int, length: int) -> int:
    # The data itself has no place in the log of steps; what is on disk is verified at the end.
    return len(fileops.direct_read(path, offset, length))


def many_states(exp: Experiment, blocks: int) -> None:
    """Thousands of separate dirty blocks in one inode, all live at a checkpoint before write-back."""
    path = exp.mount / "scattered"
    exp.step("write_scattered", fileops.write_scattered, path, blocks, exp.seed)
    exp.checkpoint("all dirty")
    exp.sync()
    exp.checkpoint("synced")
    exp.step("verify_scattered", fileops.verify_scattered, path, blocks, exp.seed)


_READING_AND_WRITING: Sections = {
    "buffered": {"rw": "randrw", "numjobs": 2, "fsync": 32},
    "direct": {"rw": "randrw", "numjobs": 2, "direct": 1, "bs": "4k-16k"},
    "mapped": {"rw": "randrw", "ioengine": "mmap"},
    "ranges": {"rw": "randwrite", "sync_file_range": "wait_before,write:16"},
    "syncing": {"rw": "randwrite", "fdatasync": 4},
    "allocating": {"rw": "randwrite", "ioengine": "falloc", "bs": "64k", "rate_iops": 500},
}
# The end of the file moves: a reader would fail there, and a mapping fault.
_TRUNCATING: Sections = {
    "buffered": {"rw": "randwrite", "numjobs": 3, "fsync": 32},
    "direct": {"rw": "randwrite", "numjobs": 2, "direct": 1, "bs": "4k-16k"},
    "syncing": {"rw": "randwrite", "fdatasync": 4},
    "allocating": {"rw": "randwrite", "ioengine": "falloc", "bs": "64k", "rate_iops": 500},
    "truncating": {"rw": "randwrite", "ioengine": "ftruncate", "rate_iops": 500},
}


def contention(exp: Experiment, mib: int, operations: int) -> None:
    """Eight processes on the same ranges of one file, `operations` each; then with its end moving."""
    shared = {"filename": "contended", "size": f"{mib}m", "norandommap": None, "number_ios": operations}
    for name, sections in (("contention", _READING_AND_WRITING), ("truncation", _TRUNCATING)):
        run_jobs(exp, name, sections, **MIXED, **shared)
        exp.checkpoint(f"after {name}")
    exp.sync()
    exp.checkpoint("synced")


# btrfs writes delalloc back early when metadata space might run short, and it reserves for each separate
# block as if a whole path of the tree had to be copied. A commit would not write it back, but costs time.
# At 64 GiB 6,000 blocks stayed dirty, at 32 GiB 3,900 of them.
_ROOMY = layout("commit=300", size_bytes=128 * GIB)
_ROOMIER = layout("commit=300", size_bytes=512 * GIB)

CASES = (
    case(
        "buffered-fsync",
        "random buffered writes with fsync, verified: delalloc set, converted and cleared",
        QUICK,
        partial(buffered_fsync, mib=16),
    ),
    case("direct-random", "random direct reads and writes, verified", QUICK, partial(direct_random, mib=8)),
    case(
        "mixed-one-file",
        "buffered, direct and mapped I/O on one file at once",
        QUICK,
        partial(mixed_one_file, mib=8),
    ),
    case("mmap", "random stores through mappings, verified", QUICK, partial(mapped, mib=8)),
    case(
        "direct-over-dirty",
        "direct I/O over dirty pages: lock, flush and retry",
        QUICK,
        partial(direct_over_dirty, rounds=60),
    ),
    case(
        "many-states",
        "6,000 separate dirty blocks in one inode: a large tree of states",
        QUICK,
        partial(many_states, blocks=6000),
        on=_ROOMY,
    ),
    case(
        "contention",
        "eight processes on the same ranges of one file: exclusive bits and retries",
        QUICK,
        partial(contention, mib=4, operations=1000),
    ),
    case(
        "buffered-fsync-large", "as buffered-fsync, 128 MiB a writer", AUTO, partial(buffered_fsync, mib=128)
    ),
    case("direct-random-large", "as direct-random, 64 MiB", AUTO, partial(direct_random, mib=64)),
    case("mixed-one-file-large", "as mixed-one-file, 64 MiB", AUTO, partial(mixed_one_file, mib=64)),
    case(
        "many-states-large",
        "30,000 separate dirty blocks in one inode",
        AUTO,
        partial(many_states, blocks=30000),
        on=_ROOMIER,
    ),
    case(
        "contention-large",
        "as contention, 5,000 operations each on 16 MiB",
        AUTO,
        partial(contention, mib=16, operations=5000),
    ),
    case(
        "buffered-fsync-stress",
        "as buffered-fsync, 512 MiB a writer",
        STRESS,
        partial(buffered_fsync, mib=512),
        deadline_s=1800,
    ),
    case(
        "contention-stress",
        "as contention, 50,000 operations each on 64 MiB",
        STRESS,
        partial(contention, mib=64, operations=50000),
        deadline_s=1800,
    ),
)
