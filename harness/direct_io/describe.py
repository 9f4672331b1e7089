# SPDX-License-Identifier: GPL-2.0-or-later
"""Describes what a plan has made: read from the devices, and held against what was written."""

from __future__ import annotations

import errno
import fcntl
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from harness.direct_io.capture import device_number
from harness.direct_io.contents import Compressed, StoredContents, compressed_key
from harness.direct_io.kernel import running_direct_io_kernel
from harness.direct_io.layout import FileId, read_contents, read_files
from harness.direct_io.plan import DONORS, Plan, contents
from harness.direct_io.record import Layout
from harness.errors import InfrastructureError, UserError
from harness.fileops import DataMismatchError
from harness.metadata import FileSystem, MetadataError
from reference.direct_io.mainline import File, Volume
from reference.direct_io.mainline.page_cache import page_data

__all__ = ["check_unchanged", "describe", "file_ids", "file_stamps"]

BTRFS_IOC_INO_LOOKUP = 0xD0009412
FIRST_FREE_OBJECTID = 256


def _described(plan: Plan) -> list[str]:
    """Files that are read, and donors: those show what extents were made of."""
    return [*plan.read, *(name for name in plan.made if name.startswith(f"{DONORS}/"))]


def file_ids(plan: Plan, mount: Path) -> list[FileId]:
    """Return what the plan's files are known by, those that are read first.

    UserError if they are not on btrfs.
    """
    return [_file_id(mount / name) for name in _described(plan)]


def file_stamps(plan: Plan, mount: Path) -> dict[str, int]:
    """Return when each file that is read was changed last, ns: reads do not change that."""
    return {name: (mount / name).stat().st_ctime_ns for name in plan.read}


def check_unchanged(plan: Plan, mount: Path, stamps: Mapping[str, int]) -> None:
    """Raise InfrastructureError if somebody has changed a file since it had these `file_stamps`."""
    now = file_stamps(plan, mount)
    for name, stamp in stamps.items():
        if now[name] != stamp:
            raise InfrastructureError(
                f"{name} was changed by somebody else while it was read, so its reads decide nothing: "
                f"leave {mount} alone and run the case again"
            )


def _file_id(path: Path) -> FileId:
    # struct btrfs_ioctl_ino_lookup_args: treeid (0: of the file), objectid, and 4080 bytes for a name.
    lookup = bytearray(struct.pack("<QQ", 0, FIRST_FREE_OBJECTID).ljust(4096, b"\0"))
    try:
        with path.open("rb") as file:
            fcntl.ioctl(file, BTRFS_IOC_INO_LOOKUP, lookup)
    except OSError as error:
        if error.errno not in (errno.ENOTTY, errno.EINVAL):
            raise
        raise UserError(f"{path} is not on btrfs: give a file of a mounted btrfs") from None
    return FileId(struct.unpack_from("<Q", lookup)[0], path.stat().st_ino)


def describe(devices: Sequence[Path], plan: Plan, ids: Sequence[FileId]) -> Layout:
    """Read from devices that are not mounted what lies where.

    DataMismatchError if the files do not hold what was written.
    """
    images = contents(plan)
    written = {name: bytes(images[name]) for name in _described(plan)}
    try:
        with FileSystem(devices) as filesystem:
            found = read_files(filesystem, ids)
            files = [found[one] for one in ids]
            compressed = _compressed(zip(files, written.values(), strict=True))
            stored = read_contents(filesystem, files, compressed)
            numbers = {
                device_number(image.path.stat().st_rdev): devid
                for devid, image in filesystem.devices.images.items()
            }
            volume = Volume(filesystem.chunks, frozenset(numbers.values()))
    except MetadataError as error:
        # The kernel has just written this, and nobody has touched it.
        raise DataMismatchError(str(error)) from error
    _check(zip(files, written.items(), strict=True), stored)
    count = len(plan.read)
    inodes = [one.inode for one in ids[:count]]
    kernel = running_direct_io_kernel()
    return Layout(
        *(files[:count], volume, stored, numbers, kernel.flags, inodes),
        plan=plan,
        features=kernel.features,
    )


def _compressed(files: Iterable[tuple[File, bytes]]) -> Mapping[Compressed, bytes]:
    """Return what compressed extents were made of: files that have the whole of one tell."""
    return {
        compressed_key(item): data[item.file_offset : item.end]
        for file, data in files
        for item in file.items
        if item.compression and not item.offset and item.end - item.file_offset == item.ram_bytes
    }


def _check(files: Iterable[tuple[File, tuple[str, bytes]]], stored: StoredContents) -> None:
    for file, (name, data) in files:
        if b"".join(map(bytes, page_data(file, stored, 0, file.i_size))) != data:
            raise DataMismatchError(f"{name}: what lies on the devices is not what was written")
