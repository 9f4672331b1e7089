# SPDX-License-Identifier: GPL-2.0-or-later
"""The module's device (harness/guest/reada_module): starts readaheads and walks, and records what they do.

The structures are those of `interface.h` there.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.bundle import Table
from harness.errors import InfrastructureError
from harness.readahead.excerpt import Device
from harness.readahead.record import COLUMNS, Request

__all__ = ["RECORD", "Handle", "ReadaDevice", "Recorded"]

DEVICE = Path("/dev/iodiff-reada")

RECORD = np.dtype(
    [
        ("time_ns", "<u8"),
        ("logical", "<u8"),
        ("rc", "<u8"),
        ("start", "<u8"),
        ("end", "<u8"),
        ("next", "<u8"),
        ("value", "<i8"),
        ("pid", "<u4"),
        ("devid", "<u4"),
        ("err", "<i4"),
        ("cpu", "<u2"),
        ("kind", "u1"),
        ("mirror", "u1"),
        ("locked", "u1"),
        ("unused", "V7"),
    ]
)
"""`struct iodiff_record`."""

MAX_DEVICES = 16


class _Device(ctypes.Structure):
    _fields_ = (("devid", ctypes.c_uint64), ("missing", ctypes.c_uint64))


class _Trace(ctypes.Structure):
    _fields_ = (("fd", ctypes.c_int32), ("devices", ctypes.c_uint32), ("device", _Device * MAX_DEVICES))


class _Counts(ctypes.Structure):
    _fields_ = (
        ("recorded", ctypes.c_uint64),
        ("lost_ring", ctypes.c_uint64),
        ("lost_probe", ctypes.c_uint64),
    )


class _Request(ctypes.Structure):
    _fields_ = (
        ("fd", ctypes.c_int32),
        ("number", ctypes.c_uint32),
        ("tree", ctypes.c_uint64),
        ("first", ctypes.c_uint64 * 3),
        ("last", ctypes.c_uint64 * 3),
        ("leaves", ctypes.c_uint64),
        ("handle", ctypes.c_int64),
        ("result", ctypes.c_int64),
    )


def _ioctl_number(direction: int, number: int, size: int) -> int:
    """Return what include/uapi/asm-generic/ioctl.h makes of it."""
    return direction << 30 | size << 16 | ord("D") << 8 | number


_WRITE, _READ = 1, 2
_START = _ioctl_number(_WRITE | _READ, 1, ctypes.sizeof(_Trace))
_STOP = _ioctl_number(_READ, 2, ctypes.sizeof(_Counts))
_ADD = _ioctl_number(_WRITE | _READ, 3, ctypes.sizeof(_Request))
_WAIT = _ioctl_number(0, 4, 0)
_DETACH = _ioctl_number(0, 5, 0)
_WALK = _ioctl_number(_WRITE | _READ, 6, ctypes.sizeof(_Request))


@dataclass(frozen=True)
class Handle:
    """A readahead that was begun, to be given back once: waited for or detached."""

    number: int
    """By which the module knows it."""


@dataclass(frozen=True)
class Recorded:
    """What was recorded between `start` and `stop`."""

    events: Table
    """The columns `harness.readahead.record.COLUMNS`."""
    lost: dict[str, int]
    """By reason."""


class ReadaDevice:
    """The open device. InfrastructureError where the module refuses something."""

    def __init__(self) -> None:
        self._file = DEVICE.open("rb", buffering=0)
        self._fd = self._file.fileno()

    def close(self) -> None:
        """Close it; again does nothing."""
        self._file.close()

    def start(self, mount: Path) -> list[Device]:
        """Record the file system mounted there, on which nothing may have been read ahead since its mount.

        Returns its devices in the order of the kernel's list.
        """
        with _folder(mount) as folder:
            trace = _Trace(fd=folder)
            self._call(_START, trace, f"record {mount}")
        return [Device(one.devid, bool(one.missing)) for one in trace.device[: trace.devices]]

    def stop(self) -> Recorded:
        """End recording and return what there is."""
        counts = _Counts()
        self._call(_STOP, counts, "stop recording")
        records = np.frombuffer(self._read(counts.recorded * RECORD.itemsize), RECORD)
        events = {name: records[name].astype(dtype) for name, dtype in COLUMNS.items()}
        return Recorded(events, {"ring": counts.lost_ring, "probe": counts.lost_probe})

    def add(self, mount: Path, number: int, request: Request) -> Handle | None:
        """Begin a readahead, as request `number`; None if the kernel cannot queue its root."""
        done = self._request(_ADD, mount, number, request)
        return None if done.result else Handle(done.handle)

    def wait(self, handle: Handle) -> None:
        """Wait until nothing of it is left, and give it back. Other threads go on meanwhile."""
        fcntl.ioctl(self._fd, _WAIT, handle.number)

    def detach(self, handle: Handle) -> None:
        """Give it back and let it go on by itself."""
        fcntl.ioctl(self._fd, _DETACH, handle.number)

    def walk(self, mount: Path, number: int, request: Request) -> tuple[int, int]:
        """Walk over the leaves as ever; return how many there were, and 0 or the error it ended with."""
        done = self._request(_WALK, mount, number, request)
        return done.leaves, done.result

    def _request(self, command: int, mount: Path, number: int, request: Request) -> _Request:
        with _folder(mount) as folder:
            call = _Request(folder, number, request.tree, _words(request.key_start), _words(request.key_end))
            self._call(command, call, f"read tree {request.tree}")
        return call

    def _call(self, command: int, argument: ctypes.Structure, what: str) -> None:
        try:
            fcntl.ioctl(self._fd, command, argument)
        except OSError as error:
            raise InfrastructureError(f"the readahead module cannot {what}: {error.strerror}") from None

    def _read(self, size: int) -> bytes:
        os.lseek(self._fd, 0, os.SEEK_SET)
        data = bytearray()
        while len(data) < size:
            chunk = os.read(self._fd, min(size - len(data), 1 << 24))
            if not chunk:
                raise InfrastructureError(f"of {size} bytes of records only {len(data)} can be read")
            data += chunk
        return bytes(data)


def _words(key: Sequence[int]) -> Any:
    return (ctypes.c_uint64 * 3)(*key)


@contextmanager
def _folder(path: Path) -> Iterator[int]:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield folder
    finally:
        os.close(folder)
