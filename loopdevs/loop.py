# SPDX-License-Identifier: GPL-2.0-or-later
"""Loop devices: attach a backing file, find the devices on a file, detach.

A loop device is ours when the kernel says that it stands on a backing file of ours: same path (sysfs) and
same inode (LOOP_GET_STATUS64). Its number proves nothing, since numbers are used again.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loopdevs.deadline import Deadline, retry_while_busy
from loopdevs.errors import LoopdevsError, NotOursError
from loopdevs.events import wait_for_block_device

__all__ = [
    "CONTROL",
    "BackingFile",
    "attach",
    "attached_below",
    "attached_to",
    "detach",
    "mark_rotational",
    "never_merge",
    "uses_direct_io",
]

CONTROL = Path("/dev/loop-control")
SYSFS = Path("/sys/block")

# include/uapi/linux/loop.h
LOOP_CLR_FD = 0x4C01
LOOP_GET_STATUS64 = 0x4C05
LOOP_CONFIGURE = 0x4C0A
LOOP_CTL_GET_FREE = 0x4C82
LO_FLAGS_DIRECT_IO = 16

# struct loop_info64: lo_device, lo_inode, lo_rdevice, lo_offset, lo_sizelimit; lo_number, lo_encrypt_type,
# lo_encrypt_key_size, lo_flags; lo_file_name, lo_crypt_name, lo_encrypt_key; lo_init[2]
LOOP_INFO64 = struct.Struct("=5Q4I64s64s32s2Q")
# struct loop_config: fd, block_size; info; __reserved[8]
LOOP_CONFIG = struct.Struct(f"=2I{LOOP_INFO64.size}s64x")

ATTEMPTS = 100
"""How often another process may take the free device before us."""


@dataclass(frozen=True)
class BackingFile:
    """A backing file, known by path and inode."""

    path: Path
    device: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> BackingFile:
        """Identify the existing file at `path`, an absolute path without symbolic links."""
        status = path.lstat()
        return cls(path, status.st_dev, status.st_ino)


def attach(backing: BackingFile) -> Path:
    """Attach a free loop device with direct I/O, where that is possible, and return it ready for use.

    LoopdevsError when there is no permission, no free device or no support; DeviceTimeoutError when the
    device does not become ready.
    """
    try:
        with _opened(backing.path, os.O_RDWR | os.O_NOFOLLOW) as descriptor:
            device = _configure_free_device(descriptor)
    except OSError as error:
        raise LoopdevsError(f"no loop device for {backing.path}: {_explain(error)}") from None
    wait_for_block_device(device)
    return device


def attached_to(backing: BackingFile) -> list[Path]:
    """Return the loop devices on exactly this backing file, deleted or not."""
    return [
        device
        for device, path in _attached()
        if path in (str(backing.path), f"{backing.path} (deleted)")
        and _inode_behind(device) == (backing.device, backing.inode)
    ]


def attached_below(path: Path) -> list[Path]:
    """Return the loop devices on any file at or below `path`, whoever attached them."""
    return [
        device for device, file in _attached() if Path(file.removesuffix(" (deleted)")).is_relative_to(path)
    ]


def detach(device: Path, backing: BackingFile, deadline: Deadline) -> None:
    """Detach `device` from `backing`.

    NotOursError when it stands on another file; LoopdevsError when it is in use until the deadline.
    """
    if device not in attached_to(backing):
        raise NotOursError(f"{device} does not stand on {backing.path}: left alone")
    try:
        retry_while_busy(lambda: _clear(device, backing), deadline)
    except OSError as error:
        raise LoopdevsError(f"{device} on {backing.path} cannot be detached: {error.strerror}") from None
    # The kernel detaches at the last close, and others (udev) may have it open for a moment.
    if not deadline.wait(lambda: device not in attached_to(backing)):
        raise LoopdevsError(
            f"{device} on {backing.path} is still open somewhere after {deadline.seconds:g} s"
        )


def uses_direct_io(device: Path) -> bool:
    """Return whether `device` does direct I/O on its backing file (sysfs loop/dio)."""
    return (SYSFS / device.name / "loop" / "dio").read_text().strip() == "1"


def mark_rotational(device: Path) -> None:
    """Have the kernel, btrfs above all, take `device` for a disk that rotates; attaching sets it anew."""
    (SYSFS / device.name / "queue" / "rotational").write_text("1")


def never_merge(device: Path) -> None:
    """Have each bio become a request of its own, so that one that fails fails alone."""
    (SYSFS / device.name / "queue" / "nomerges").write_text("2")


def _configure_free_device(backing_descriptor: int) -> Path:
    info = LOOP_INFO64.pack(0, 0, 0, 0, 0, 0, 0, 0, LO_FLAGS_DIRECT_IO, b"", b"", b"", 0, 0)
    # A block size of 0 lets the kernel choose one that direct I/O can serve.
    configuration = LOOP_CONFIG.pack(backing_descriptor, 0, info)
    for _ in range(ATTEMPTS):
        device = _free_device()
        try:
            with _opened(device, os.O_RDWR) as descriptor:
                fcntl.ioctl(descriptor, LOOP_CONFIGURE, configuration)
        except OSError as error:
            # Another process took it between the two calls.
            if error.errno != errno.EBUSY:
                raise
        else:
            return device
    raise OSError(errno.EBUSY, f"others took each of {ATTEMPTS} free devices first: try again")


def _free_device() -> Path:
    with _opened(CONTROL, os.O_RDWR) as descriptor:
        number: int = fcntl.ioctl(descriptor, LOOP_CTL_GET_FREE)
    return Path(f"/dev/loop{number}")


def _explain(error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM):
        return "no permission, run as root"
    if error.errno == errno.ENOSPC:
        return "every loop device is in use, detach some or raise max_loop"
    if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return f"{error.filename or CONTROL} is not there, load the loop module"
    return error.strerror or str(error)


def _attached() -> Iterator[tuple[Path, str]]:
    """Yield each attached loop device with the kernel's path of its backing file."""
    for entry in sorted(SYSFS.glob("loop*")):
        try:
            file = os.fsdecode((entry / "loop" / "backing_file").read_bytes())
        except OSError:
            continue
        yield Path("/dev") / entry.name, file.removesuffix("\n")


def _inode_behind(device: Path) -> tuple[int, int] | None:
    try:
        with _opened(device, os.O_RDONLY) as descriptor:
            return _status(descriptor)
    except OSError:
        return None


def _status(descriptor: int) -> tuple[int, int]:
    """Return device number and inode number of the backing file."""
    status = bytearray(LOOP_INFO64.size)
    fcntl.ioctl(descriptor, LOOP_GET_STATUS64, status)
    device, inode = LOOP_INFO64.unpack(status)[:2]
    return device, inode


def _clear(device: Path, backing: BackingFile) -> None:
    # O_EXCL fails while a file system is mounted from the device, and while it is open the device cannot
    # come to stand on another file: what is checked is what is cleared.
    with _opened(device, os.O_RDONLY | os.O_EXCL) as descriptor:
        if _status(descriptor) != (backing.device, backing.inode):
            raise NotOursError(f"{device} no longer stands on {backing.path}: left alone")
        fcntl.ioctl(descriptor, LOOP_CLR_FD)


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
