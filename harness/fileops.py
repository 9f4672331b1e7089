# SPDX-License-Identifier: GPL-2.0-or-later
"""What cases do to files besides fio: allocation, cloning, mapped and direct I/O, and checks of contents.

Each function opens the file, does one thing and closes it, so nothing stays open behind a case. Offsets and
lengths are bytes. The kernel's refusals come as OSError that names the file.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import mmap
import os
import random
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntFlag
from pathlib import Path

from harness.record.interruption import let_in, uninterruptible
from reference.fsx import pattern

__all__ = [
    "DIRECT_ALIGNMENT",
    "SCATTERED_BYTES",
    "DataMismatchError",
    "FallocateMode",
    "copy",
    "copy_range",
    "dedupe",
    "digest",
    "direct_read",
    "direct_write",
    "drop_cache",
    "fallocate",
    "fsync",
    "map_read",
    "map_write",
    "read",
    "reflink",
    "scrub",
    "set_compression",
    "set_nodatacow",
    "sync_file_range",
    "syncfs",
    "truncate",
    "verify_digest",
    "verify_scattered",
    "write",
    "write_scattered",
]

DIRECT_ALIGNMENT = 4096
"""Alignment of offsets, lengths and buffers for direct I/O, bytes."""
SCATTERED_BYTES = 4096
"""Size of a block of `write_scattered`, and of the gap after it."""


class DataMismatchError(Exception):
    """A file does not hold what was written to it: the kernel under test lost or mixed up data."""


class FallocateMode(IntFlag):
    """Modes of fallocate(2); values from the kernel's uapi header linux/falloc.h."""

    ALLOCATE = 0
    KEEP_SIZE = 1
    PUNCH_HOLE = 2
    """Only together with KEEP_SIZE."""
    COLLAPSE_RANGE = 8
    """btrfs does not implement it (EOPNOTSUPP)."""
    ZERO_RANGE = 16
    INSERT_RANGE = 32
    """btrfs does not implement it (EOPNOTSUPP)."""


# ioctl numbers and structures of linux/fs.h, the same on every architecture that Python calls little endian.
_FICLONERANGE = 0x4020940D
_FILE_CLONE_RANGE = struct.Struct("=qQQQ")  # src_fd, src_offset, src_length, dest_offset
_FIDEDUPERANGE = 0xC0189436
# struct file_dedupe_range: src_offset, src_length, dest_count, padding; then one file_dedupe_range_info:
# dest_fd, dest_offset, bytes_deduped, status, padding.
_FILE_DEDUPE_RANGE = struct.Struct("=QQHHI qQQiI")
_FILE_DEDUPE_RANGE_DIFFERS = 1
_FS_IOC_GETFLAGS = 0x80086601
_FS_IOC_SETFLAGS = 0x40086602
_FS_NOCOW_FL = 0x00800000
_BTRFS_IOC_SCRUB = 0xC400941B
_SCRUB_ARGS_BYTES = 1024
# linux/btrfs.h, struct btrfs_ioctl_scrub_args: devid, start, end, flags; then struct btrfs_scrub_progress.
_SCRUB_REQUEST = struct.Struct("=QQQQ")
_SCRUB_PROGRESS = struct.Struct("=15Q")
# linux/fs.h: SYNC_FILE_RANGE_WAIT_BEFORE | _WRITE | _WAIT_AFTER
_SYNC_FILE_RANGE_ALL = 7

_libc = ctypes.CDLL(None, use_errno=True)


def fallocate(path: Path, mode: FallocateMode, offset: int, length: int) -> None:
    """fallocate(2) on an existing or new file."""
    with _opened(path, os.O_RDWR | os.O_CREAT) as fd:
        _call(path, "fallocate", fd, int(mode), ctypes.c_int64(offset), ctypes.c_int64(length))


def truncate(path: Path, size: int) -> None:
    """Cut or extend a file to `size`, creating it if need be."""
    with _opened(path, os.O_RDWR | os.O_CREAT) as fd:
        os.ftruncate(fd, size)


def reflink(source: Path, target: Path, offset: int, length: int, target_offset: int) -> None:
    """Share `length` bytes of `source` at `offset` with `target` (FICLONERANGE); 0 is "to the end"."""
    with _opened(source, os.O_RDONLY) as src, _opened(target, os.O_RDWR | os.O_CREAT) as dst:
        fcntl.ioctl(dst, _FICLONERANGE, _FILE_CLONE_RANGE.pack(src, offset, length, target_offset))


def dedupe(source: Path, target: Path, offset: int, length: int, target_offset: int) -> None:
    """Share a range of `source` with `target` where both hold the same (FIDEDUPERANGE).

    OSError with EBADE, which the kernel too calls it before it makes a status of it, where they do not.
    """
    with _opened(source, os.O_RDONLY) as src, _opened(target, os.O_RDWR) as dst:
        request = _FILE_DEDUPE_RANGE.pack(offset, length, 1, 0, 0, dst, target_offset, 0, 0, 0)
        answer = _FILE_DEDUPE_RANGE.unpack(fcntl.ioctl(src, _FIDEDUPERANGE, request))
    done, status = answer[-3:-1]
    if status:
        code = errno.EBADE if status == _FILE_DEDUPE_RANGE_DIFFERS else -status
        raise OSError(code, os.strerror(code), str(target))
    if done != length:
        raise OSError(f"{target}: dedupe of {length} bytes at {target_offset} stopped after {done}")


def copy_range(source: Path, target: Path, offset: int, length: int, target_offset: int) -> None:
    """Have the kernel copy a range, or what `source` has of it (copy_file_range(2)): btrfs may share it."""
    with _opened(source, os.O_RDONLY) as src, _opened(target, os.O_RDWR | os.O_CREAT) as dst:
        # Known before it begins: within one file the end moves.
        left = min(length, os.fstat(src).st_size - offset)
        while left > 0 and (done := os.copy_file_range(src, dst, left, offset, target_offset)):
            left, offset, target_offset = left - done, offset + done, target_offset + done


def set_nodatacow(path: Path) -> None:
    """Create an empty file without copy-on-write, checksums and compression (`chattr +C`)."""
    with _opened(path, os.O_RDWR | os.O_CREAT | os.O_EXCL) as fd:
        flags = struct.unpack("=q", fcntl.ioctl(fd, _FS_IOC_GETFLAGS, bytes(8)))[0]
        fcntl.ioctl(fd, _FS_IOC_SETFLAGS, struct.pack("=q", flags | _FS_NOCOW_FL))


def set_compression(path: Path, how: str) -> None:
    """Create an empty file whose data are compressed (`btrfs property set FILE compression HOW`)."""
    path.touch(exist_ok=False)
    os.setxattr(path, "btrfs.compression", how.encode())


def write(path: Path, offset: int, length: int, seed: int) -> None:
    """Write `pattern(seed, length)` through the page cache."""
    with _opened(path, os.O_RDWR | os.O_CREAT) as fd:
        _write_all(fd, pattern(seed, length), offset)


def write_scattered(path: Path, blocks: int, seed: int) -> None:
    """Dirty `blocks` separate 4 KiB blocks in a random order, with a gap after each.

    Block k lies at 8 KiB * k, so no two adjoin; all hold `pattern(seed, 4096)`.
    """
    order = list(range(blocks))
    random.Random(seed).shuffle(order)
    data = pattern(seed, SCATTERED_BYTES)
    with _opened(path, os.O_RDWR | os.O_CREAT) as fd:
        for block in order:
            _write_all(fd, data, 2 * SCATTERED_BYTES * block)


def verify_scattered(path: Path, blocks: int, seed: int) -> None:
    """Raise DataMismatchError unless the file holds what `write_scattered` wrote, and zeroes in the gaps."""
    expected = pattern(seed, SCATTERED_BYTES)
    with path.open("rb") as f:
        for block in range(blocks):
            found = f.read(2 * SCATTERED_BYTES)
            if found[:SCATTERED_BYTES] != expected or found[SCATTERED_BYTES:].strip(b"\0"):
                raise DataMismatchError(f"{path.name}: wrong data near offset {2 * SCATTERED_BYTES * block}")


def read(path: Path, offset: int, length: int) -> bytes:
    """Read through the page cache; shorter than `length` only at the end of the file."""
    with _opened(path, os.O_RDONLY) as fd:
        return os.pread(fd, length, offset)


def direct_write(path: Path, offset: int, length: int, seed: int) -> None:
    """Write `pattern(seed, length)` past the page cache; offset and length multiples of DIRECT_ALIGNMENT."""
    with _opened(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT) as fd, _aligned(length) as buffer:
        buffer[:] = pattern(seed, length)
        if (done := os.pwritev(fd, [buffer], offset)) != length:
            raise OSError(f"{path}: direct write of {length} bytes at {offset} stopped after {done}")


def direct_read(path: Path, offset: int, length: int) -> bytes:
    """Read past the page cache; shorter than `length` only at the end of the file."""
    with _opened(path, os.O_RDONLY | os.O_DIRECT) as fd, _aligned(length) as buffer:
        return buffer[: os.preadv(fd, [buffer], offset)]


def map_write(path: Path, offset: int, length: int, seed: int) -> None:
    """Store `pattern(seed, length)` through a shared mapping, within the file's size; no msync(2)."""
    with _mapped(path, offset, length) as (mapping, at):
        mapping[at:] = pattern(seed, length)


def map_read(path: Path, offset: int, length: int) -> bytes:
    """Load from a shared mapping, within the file's size."""
    with _mapped(path, offset, length) as (mapping, at):
        return mapping[at:]


def copy(source: Path, target: Path) -> None:
    """Copy by reading and writing, so that nothing is shared (unlike copy_file_range on btrfs)."""
    with source.open("rb") as src, target.open("wb") as dst:
        while chunk := src.read(1 << 20):
            dst.write(chunk)


def fsync(path: Path) -> None:
    """fsync(2)."""
    with _opened(path, os.O_RDONLY) as fd:
        os.fsync(fd)


def syncfs(path: Path) -> None:
    """syncfs(2) on the file system that holds `path`: no other file system is touched."""
    with _opened(path, os.O_RDONLY) as fd:
        _call(path, "syncfs", fd)


def sync_file_range(path: Path, offset: int, length: int) -> None:
    """Write back the dirty pages of a range and wait for them (sync_file_range(2)); no metadata."""
    with _opened(path, os.O_RDWR) as fd:
        bounds = ctypes.c_int64(offset), ctypes.c_int64(length)
        _call(path, "sync_file_range", fd, *bounds, ctypes.c_uint(_SYNC_FILE_RANGE_ALL))


def drop_cache(path: Path) -> None:
    """Drop the file's clean pages, so that the next read comes from the device."""
    with _opened(path, os.O_RDONLY) as fd:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's contents, in hex."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def verify_digest(path: Path, expected: str) -> None:
    """Raise DataMismatchError unless the file's contents have the SHA-256 `expected`."""
    if (found := digest(path)) != expected:
        raise DataMismatchError(f"{path.name}: SHA-256 {found[:16]}... instead of {expected[:16]}...")


def scrub(mount: Path, device_id: int) -> dict[str, int]:
    """Scrub one device (BTRFS_IOC_SCRUB) and return bytes checked and errors found.

    `btrfs scrub` does the same but leaves a status file in /var/lib/btrfs for each file system.
    """
    request = _SCRUB_REQUEST.pack(device_id, 0, (1 << 64) - 1, 0).ljust(_SCRUB_ARGS_BYTES, b"\0")
    with _opened(mount, os.O_RDONLY) as fd:
        answer = fcntl.ioctl(fd, _BTRFS_IOC_SCRUB, request)
    progress = _SCRUB_PROGRESS.unpack_from(answer, _SCRUB_REQUEST.size)
    data, tree, read_errors, csum_errors, verify_errors = progress[2:7]
    return {"bytes": data + tree, "errors": read_errors + csum_errors + verify_errors}


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    fd = -1
    try:
        # A signal that struck as the call returned would leave a descriptor that nobody knows, and the file
        # system busy.
        with uninterruptible():
            fd = os.open(path, flags | os.O_CLOEXEC, 0o644)
        let_in()
        yield fd
    except OSError as error:
        # Calls on a descriptor do not know the name.
        error.filename = error.filename or str(path)
        raise
    finally:
        if fd >= 0:
            os.close(fd)


@contextmanager
def _mapped(path: Path, offset: int, length: int) -> Iterator[tuple[mmap.mmap, int]]:
    """Map the pages of a range, up to its last byte; give the mapping and where in it the range begins."""
    at = offset % mmap.ALLOCATIONGRANULARITY
    with _opened(path, os.O_RDWR) as fd, mmap.mmap(fd, at + length, offset=offset - at) as mapping:
        yield mapping, at


@contextmanager
def _aligned(length: int) -> Iterator[mmap.mmap]:
    # Anonymous memory starts on a page; touching it first keeps btrfs from falling back to buffered I/O.
    with mmap.mmap(-1, length) as buffer:
        for page in range(0, length, mmap.PAGESIZE):
            buffer[page] = 1
        yield buffer


def _write_all(fd: int, data: bytes, offset: int) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(fd, data[done:], offset + done)


def _call(path: Path, function: str, *arguments: object) -> None:
    """Call libc's `function`; OSError as Python's own calls raise it."""
    if getattr(_libc, function)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(path))
