# SPDX-License-Identifier: GPL-2.0-or-later
"""The cases whose bundles are kept in `suites/data`: each small, together all that is done to the trees.

suites/data/README.md tells how to record them again.
"""

from __future__ import annotations

import errno
import random
from functools import partial
from itertools import count
from pathlib import Path

from harness import fileops
from harness.cases import Experiment
from harness.fileops import FallocateMode
from harness.fiojob import Options
from loopdevs import BtrfsLayout
from suites.extent_state.fsx import CHANGING, random_operations
from suites.extent_state.support import BLOCK, GIB, MIB, MIXED, TrackedFile, case, layout, run_jobs
from suites.extent_state.volumes import defragmentation, eviction, write_around

__all__ = ["CASES"]

DATA = frozenset({"data"})


def scattered(exp: Experiment, blocks: int) -> None:
    """Half the blocks of a file in random order, then as many again: neighbours join at either end."""
    job: Options = {
        "rw": "randwrite",
        "filename": "scattered",
        "size": f"{8 * blocks}k",
        "number_ios": blocks,
    }
    for name in ("first", "second"):
        run_jobs(exp, name, {"a": job}, fallocate="none", norandommap=None)
        exp.checkpoint(f"{name} half dirty")
    exp.sync()
    exp.checkpoint("synced")


def contended(exp: Experiment, operations: int) -> None:
    """Seven processes on a few blocks of one file: exclusive bits are met and waited for."""
    jobs: dict[str, Options] = {
        "allocating": {"rw": "randwrite", "ioengine": "falloc", "bs": "64k"},
        "buffered": {"rw": "randwrite", "numjobs": 2, "fsync": 8, "bs": "4k-16k"},
        "direct": {"rw": "randwrite", "numjobs": 3, "direct": 1, "bs": "4k-64k"},
        "reading": {"rw": "randread", "direct": 1, "bs": "64k"},
        "ranges": {"rw": "randwrite", "sync_file_range": "wait_before,write:4"},
    }
    common: dict[str, str | int] = {
        "filename": "contended",
        "size": "256k",
        "io_size": "64m",
        "number_ios": operations,
    }
    run_jobs(exp, "contended", jobs, **MIXED, **common, norandommap=None, group_reporting=None)
    exp.checkpoint("dirty")
    exp.sync()
    exp.checkpoint("synced")


def contended_direct(exp: Experiment, operations: int) -> None:
    """Direct readers and writers on sixteen blocks: DIO_LOCKED is met and waited for."""
    job: Options = {"direct": 1, "numjobs": 4, "bs": "16k-64k"}
    common: dict[str, str | int] = {
        "filename": "direct",
        "size": "64k",
        "io_size": "64m",
        "number_ios": operations,
    }
    jobs = {"writing": {**job, "rw": "randwrite", "overwrite": 1}, "reading": {**job, "rw": "randread"}}
    run_jobs(exp, "direct", jobs, **common, norandommap=None, group_reporting=None)
    exp.checkpoint("written")
    exp.sync()
    exp.checkpoint("synced")


def limited(exp: Experiment, writes: int) -> None:
    """Writes up to a quota's limit; then, with no space left, in place, which reserve none (NORESERVE)."""
    exp.btrfs("quota", "enable", exp.mount)
    volume = exp.mount / "limited"
    exp.btrfs("subvolume", "create", volume)
    inplace, file = TrackedFile(exp, "inplace"), TrackedFile(exp, "limited/file")
    exp.step("set_nodatacow", fileops.set_nodatacow, inplace.path)
    inplace.write(0, MIB)
    exp.sync()
    exp.btrfs("qgroup", "limit", "2M", volume)
    file.write(0, MIB)
    write_around(exp, file, writes)
    exp.checkpoint("reserved")
    file.truncate(MIB // 2)
    exp.step("over the limit", _until_refused, volume / "too-much", "write", 8 * BLOCK)
    exp.sync()
    exp.step("fill", _until_refused, exp.mount / "filler", "allocate", MIB)
    exp.step("fill", _until_refused, exp.mount / "filler-of-gaps", "allocate", BLOCK)
    write_around(exp, inplace, writes)
    exp.checkpoint("full")
    exp.sync()
    inplace.verify()
    exp.checkpoint("synced")


def _until_refused(path: Path, how: str, length: int) -> int:
    """Write or allocate pieces of `length` bytes until there is no room; return how many there were."""
    for number in count():
        try:
            if how == "write":
                fileops.write(path, number * length, length, number)
            else:
                fileops.fallocate(path, FallocateMode.ALLOCATE, number * length, length)
        except OSError as error:
            if error.errno not in (errno.EDQUOT, errno.ENOSPC):
                raise
            return number
    raise AssertionError("count() ends")


def relocated(exp: Experiment, writes: int) -> None:
    """Extents with and without checksums moved by a balance: boundaries, NODATASUM."""
    files = [TrackedFile(exp, "plain"), TrackedFile(exp, "inplace")]
    exp.step("set_nodatacow", fileops.set_nodatacow, files[1].path)
    for file in files:
        file.write(0, 2 * MIB)
        file.fsync()
        write_around(exp, file, writes)
    exp.checkpoint("dirty")
    exp.sync()
    exp.btrfs("balance", "start", "--full-balance", exp.mount)
    exp.checkpoint("balanced")
    for file in files:
        file.verify()
    exp.checkpoint("verified")


def many_files(exp: Experiment, files: int) -> None:
    """Small files made, most of them deleted, again and again: blocks of the trees are pinned and freed."""
    for part in range(4):
        exp.step("make", _make, exp.mount, part, files)
        exp.sync()
        exp.step("delete", _delete, exp.mount, part, files, exp.rng.randrange(1 << 31))
        exp.checkpoint(f"deleted {part}")
    exp.sync()
    exp.checkpoint("synced")


def _make(folder: Path, part: int, files: int) -> None:
    for number in range(files):
        (folder / f"{part}-{number}").write_bytes(bytes(1500))


def _delete(folder: Path, part: int, files: int, seed: int) -> None:
    for number in random.Random(seed).sample(range(files), files * 3 // 4):
        (folder / f"{part}-{number}").unlink()


_MIRRORED = layout(devices=2, data="raid1", metadata="raid1")
_SMALL_NODES = BtrfsLayout(size_bytes=8 * GIB, mkfs_options=("-n", "4096"))

CASES = (
    case(
        "data-files",
        "for suites/data: file operations in random order",
        DATA,
        partial(random_operations, count=200, mix=CHANGING),
    ),
    case(
        "data-scattered",
        "for suites/data: hundreds of dirty blocks that join",
        DATA,
        partial(scattered, blocks=800),
        on=layout("commit=300", size_bytes=128 * GIB),
    ),
    case("data-contended", "for suites/data: processes on one file", DATA, partial(contended, operations=80)),
    case(
        "data-direct",
        "for suites/data: direct I/O on one file",
        DATA,
        partial(contended_direct, operations=60),
    ),
    case(
        "data-limited",
        "for suites/data: a quota reached, a full file system",
        DATA,
        partial(limited, writes=60),
        on=layout(size_bytes=GIB),
    ),
    case(
        "data-relocated",
        "for suites/data: a balance of two mirrored devices",
        DATA,
        partial(relocated, writes=40),
        on=_MIRRORED,
    ),
    case(
        "data-defragmented",
        "for suites/data: defragmentation and compression",
        DATA,
        partial(defragmentation, rounds=2),
        on=layout("compress=zstd"),
    ),
    case(
        "data-deleted",
        "for suites/data: trees released, four devices",
        DATA,
        partial(eviction, files=24),
        on=layout(devices=4, data="raid10", metadata="raid10"),
    ),
    case(
        "data-many-files",
        "for suites/data: small files, small tree blocks",
        DATA,
        partial(many_files, files=200),
        on=_SMALL_NODES,
    ),
)
