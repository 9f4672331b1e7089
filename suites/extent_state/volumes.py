# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases about the whole file system: profiles, subvolumes, compression, quotas, and its maintenance."""

from __future__ import annotations

import errno
import time
from functools import partial
from pathlib import Path

from harness import fileops
from harness.cases import Experiment
from harness.fileops import DataMismatchError
from harness.fiojob import Options
from suites.extent_state.support import AUTO, BLOCK, MIB, MIXED, QUICK, TrackedFile, case, layout, run_jobs

__all__ = ["CASES", "defragmentation", "eviction", "write_around"]


def profile(exp: Experiment, mib: int) -> None:
    """Buffered and direct writers, verified, then a scrub that must find every copy good."""
    writer: Options = {"rw": "randwrite", "bs": "4k-64k", "size": f"{mib}m", "verify": "crc32c"}
    jobs: dict[str, Options] = {
        "buffered": {**writer, "fsync": 16},
        "direct": {**writer, "bs": "16k", "direct": 1},
    }
    run_jobs(exp, "profile", jobs)
    exp.checkpoint("written")
    exp.sync()
    _scrub(exp)
    exp.checkpoint("scrubbed")


def snapshots(exp: Experiment, rounds: int) -> None:
    """Snapshots of a subvolume with dirty data, writes on both sides, deletion; all contents verified."""
    origin = exp.mount / "origin"
    exp.btrfs("subvolume", "create", origin)
    file = TrackedFile(exp, "origin/file")
    file.write(0, 2 * MIB)
    for number in range(rounds):
        write_around(exp, file, 40)
        snapshot = exp.mount / f"snapshot-{number}"
        exp.btrfs("subvolume", "snapshot", origin, snapshot)
        kept = TrackedFile(exp, f"snapshot-{number}/file")
        kept.data[:] = file.data
        write_around(exp, kept, 10)
        write_around(exp, file, 10)
        kept.verify()
        if number == rounds // 2:
            exp.checkpoint("midway")
        elif number % 2:
            exp.btrfs("subvolume", "delete", snapshot)
    exp.btrfs("subvolume", "sync", exp.mount)
    exp.sync()
    file.verify()
    exp.checkpoint("synced")


def defragmentation(exp: Experiment, rounds: int) -> None:
    """Scattered extents merged by defragmentation, once into compressed ones."""
    file = TrackedFile(exp, "fragmented")
    file.write(0, 2 * MIB)
    for number in range(rounds):
        for _ in range(4):
            write_around(exp, file, 30)
            file.fsync()
        compress = ("-czstd",) if number % 2 else ()
        exp.btrfs("filesystem", "defragment", *compress, "-t", "32M", file.path)
        if number == 0:
            exp.checkpoint("defragmented, dirty")
    exp.sync()
    file.verify()
    exp.checkpoint("synced")


def compressed(exp: Experiment, mib: int) -> None:
    """Compressible, half compressible and incompressible data, overwritten and read back."""
    writer: Options = {"size": f"{mib}m", "bs": "4k-128k", "verify": "crc32c", "refill_buffers": None}
    jobs: dict[str, Options] = {
        "easy": {**writer, "rw": "write", "buffer_compress_percentage": 90},
        "half": {**writer, "rw": "randwrite", "buffer_compress_percentage": 50},
        "random": {**writer, "rw": "randwrite"},
    }
    run_jobs(exp, "compress", jobs)
    exp.checkpoint("written")
    file = TrackedFile(exp, "zeroes")
    file.truncate(4 * MIB)
    write_around(exp, file, 100)
    exp.sync()
    file.verify()
    exp.checkpoint("synced")


def quotas(exp: Experiment, mib: int) -> None:
    """Quota groups: reserved ranges are marked in the tree, freed by write-back, truncation and refusal."""
    exp.btrfs("quota", "enable", exp.mount)
    volume = exp.mount / "limited"
    exp.btrfs("subvolume", "create", volume)
    exp.btrfs("qgroup", "limit", f"{4 * mib}M", volume)
    file = TrackedFile(exp, "limited/file")
    file.write(0, 2 * MIB)
    write_around(exp, file, 100)
    exp.checkpoint("reserved")
    file.truncate(MIB)
    jobs: dict[str, Options] = {
        "buffered": {"rw": "randwrite", "fsync": 64, "verify": "crc32c"},
        "direct": {"rw": "randwrite", "direct": 1, "verify": "crc32c"},
    }
    run_jobs(exp, "quota", jobs, size=f"{mib}m")
    exp.step("over the limit", _refused_by_quota, volume / "too-much", 8 * mib)
    exp.sync()
    file.verify()
    exp.btrfs("quota", "rescan", "-w", exp.mount)
    exp.checkpoint("synced")


def _refused_by_quota(path: Path, mib: int) -> bool:
    # Written in parts, so that the refusal comes amid reserved ranges.
    for part in range(mib):
        try:
            fileops.write(path, part * MIB, MIB, part)
        except OSError as error:
            if error.errno != errno.EDQUOT:
                raise
            return True
    return False


def balancing(exp: Experiment, mib: int) -> None:
    """A full balance while fio writes: chunks are relocated under dirty data."""
    writer: Options = {"rw": "randwrite", "size": f"{mib}m", "bs": "4k-32k", "verify": "crc32c"}
    run_jobs(exp, "before-balance", {"a": writer})
    file = TrackedFile(exp, "tracked")
    file.write(0, 2 * MIB)
    write_around(exp, file, 60)
    exp.btrfs("balance", "start", "--background", "--full-balance", exp.mount)
    run_jobs(exp, "during-balance", {"b": {**writer, "fsync": 64}, "c": {**writer, "direct": 1}})
    _wait_for_balance(exp)
    exp.checkpoint("balanced")
    exp.sync()
    file.verify()
    exp.checkpoint("synced")


def _wait_for_balance(exp: Experiment) -> None:
    while "No balance" not in exp.btrfs("balance", "status", exp.mount):
        time.sleep(0.2)


def scrubbing(exp: Experiment, mib: int) -> None:
    """Scrubs of written data, with more of it dirty."""
    writer: Options = {"rw": "randwrite", "size": f"{mib}m", "bs": "4k-64k", "verify": "crc32c"}
    run_jobs(exp, "scrub", {"a": writer, "b": {**writer, "direct": 1, "bs": "16k"}})
    exp.sync()
    file = TrackedFile(exp, "dirty")
    for _ in range(3):
        file.write(0, MIB)
        write_around(exp, file, 30)
        _scrub(exp)
    exp.checkpoint("scrubbed, dirty")
    exp.sync()
    file.verify()
    exp.checkpoint("synced")


def _scrub(exp: Experiment) -> None:
    for device in range(1, _device_count(exp) + 1):
        found = exp.step("scrub", fileops.scrub, exp.mount, device)
        if found["errors"]:
            raise DataMismatchError(f"scrub of device {device} found {found['errors']} errors")


def _device_count(exp: Experiment) -> int:
    return exp.btrfs("filesystem", "show", exp.mount).count("devid")


def no_copy_on_write(exp: Experiment, mib: int) -> None:
    """Files without copy-on-write: written in place, after a snapshot copied once, buffered and direct."""
    volume = exp.mount / "inplace"
    exp.btrfs("subvolume", "create", volume)
    file = TrackedFile(exp, "inplace/file")
    exp.step("set_nodatacow", fileops.set_nodatacow, file.path)
    file.write(0, 2 * MIB)
    exp.sync()
    for number in range(4):
        write_around(exp, file, 60)
        file.direct_write(BLOCK * exp.rng.randrange(256), 16 * BLOCK)
        if number == 1:
            exp.checkpoint("midway")
            exp.btrfs("subvolume", "snapshot", volume, exp.mount / "snapshot")
    shared: Options = {
        "rw": "randwrite",
        "filename": "inplace/file-fio",
        "size": f"{mib}m",
        "norandommap": None,
    }
    exp.step("set_nodatacow", fileops.set_nodatacow, exp.mount / "inplace" / "file-fio")
    run_jobs(exp, "nodatacow", {"a": {**shared, "fsync": 64}, "b": {**shared, "direct": 1}}, **MIXED)
    exp.sync()
    file.verify()
    exp.checkpoint("synced")


def remounting(exp: Experiment, rounds: int) -> None:
    """Unmount with dirty data and mount again, under other options; contents verified each time."""
    file = TrackedFile(exp, "remounted")
    file.write(0, 2 * MIB)
    for number in range(rounds):
        write_around(exp, file, 100)
        exp.remount(("compress=zstd",) if number % 2 else ())
        file.verify()
        exp.checkpoint(f"mounted again {number}")
    write_around(exp, file, 100)
    exp.sync()
    file.verify()
    exp.checkpoint("synced")


def eviction(exp: Experiment, files: int) -> None:
    """Many files written, some synced, some dirty, then deleted: their trees are released at eviction."""
    for number in range(files):
        path = exp.mount / f"short-lived-{number}"
        exp.step("write_scattered", fileops.write_scattered, path, 20, exp.rng.randrange(1 << 31))
        if number % 3 == 0:
            exp.step("fsync", fileops.fsync, path)
    exp.checkpoint("written")
    for number in range(files):
        exp.step("unlink", Path.unlink, exp.mount / f"short-lived-{number}")
        if number == files // 2:
            exp.sync()
            exp.checkpoint("half deleted")
    exp.sync()
    exp.checkpoint("all deleted")


def write_around(exp: Experiment, file: TrackedFile, writes: int) -> None:
    """Overwrite random parts of a file, at odd offsets, within its size."""
    for _ in range(writes):
        length = exp.rng.randrange(1, 3 * BLOCK)
        file.write(exp.rng.randrange(len(file.data) - length), length)


_PROFILES = (
    case(
        "single",
        "data and metadata in one copy",
        QUICK,
        partial(profile, mib=8),
        on=layout(metadata="single"),
    ),
    case(
        "dup", "data and metadata twice on one device", QUICK, partial(profile, mib=8), on=layout(data="dup")
    ),
    case(
        "raid0",
        "data striped over two devices",
        QUICK,
        partial(profile, mib=8),
        on=layout(devices=2, data="raid0", metadata="raid1"),
    ),
    case(
        "raid1",
        "data and metadata mirrored on two devices",
        QUICK,
        partial(profile, mib=8),
        on=layout(devices=2, data="raid1", metadata="raid1"),
    ),
    case(
        "raid10",
        "data and metadata striped over mirrors, four devices",
        QUICK,
        partial(profile, mib=8),
        on=layout(devices=4, data="raid10", metadata="raid10"),
    ),
    case(
        "raid1c3",
        "data and metadata in three copies, three devices",
        AUTO,
        partial(profile, mib=32),
        on=layout(devices=3, data="raid1c3", metadata="raid1c3"),
    ),
    case(
        "raid5",
        "data with parity, three devices",
        AUTO,
        partial(profile, mib=32),
        on=layout(devices=3, data="raid5", metadata="raid1"),
    ),
)

_COMPRESSION = tuple(
    case(
        f"compress-{name}",
        f"mount option {option}: data of every compressibility",
        QUICK,
        partial(compressed, mib=4),
        on=layout(option),
    )
    for name, option in (
        ("zstd", "compress=zstd"),
        ("lzo", "compress=lzo"),
        ("forced", "compress-force=zlib"),
    )
)

# Deleted subvolumes are cleaned up after a commit: every second instead of every thirty.
_CLEANING = layout("commit=1")

CASES = (
    *_PROFILES,
    *_COMPRESSION,
    case(
        "snapshots",
        "snapshots with dirty data, written to and deleted",
        QUICK,
        partial(snapshots, rounds=6),
        on=_CLEANING,
    ),
    case("defrag", "defragmentation of scattered extents", QUICK, partial(defragmentation, rounds=3)),
    case("qgroups", "quota groups: reserved ranges in the tree", QUICK, partial(quotas, mib=8)),
    case("balance", "full balance while fio writes", QUICK, partial(balancing, mib=8), deadline_s=240),
    case("scrub", "scrub with dirty data", QUICK, partial(scrubbing, mib=8)),
    case("nodatacow", "files without copy-on-write, and a snapshot", QUICK, partial(no_copy_on_write, mib=8)),
    case("remount", "unmounted dirty and mounted again", QUICK, partial(remounting, rounds=3)),
    case("eviction", "files deleted: trees released at eviction", QUICK, partial(eviction, files=60)),
    case(
        "snapshots-large",
        "as snapshots, 60 rounds",
        AUTO,
        partial(snapshots, rounds=60),
        on=_CLEANING,
        deadline_s=300,
    ),
    case("balance-large", "as balance, 64 MiB", AUTO, partial(balancing, mib=64), deadline_s=300),
    case("eviction-large", "as eviction, 1,500 files", AUTO, partial(eviction, files=1500)),
)
