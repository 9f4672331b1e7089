# SPDX-License-Identifier: GPL-2.0-or-later
"""The list of the requests that a disk has served, as a file."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

__all__ = ["ServedRequest", "read_served", "recorder"]

RECORD = struct.Struct("=Q4q2Q?7x")


class ServedRequest(NamedTuple):
    """One request; times in ns of the disk since it was switched on."""

    number: int
    """Counts the requests from 1 in the order in which they came."""
    arrival_ns: int
    begin_ns: int
    """When the disk turned to it."""
    end_ns: int
    """When it was done, by the model."""
    told_ns: int
    """When the one who waited for it was told so, which is later."""
    byte: int
    nbytes: int
    write: bool


def recorder(file: Path) -> Callable[[ServedRequest], None]:
    """Return what appends a request to `file`, which it makes."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def note(served: ServedRequest) -> None:
        os.write(descriptor, RECORD.pack(*served))

    return note


def read_served(file: Path) -> list[ServedRequest]:
    """Return all that is in `file` by now, in the order in which it was done."""
    data = file.read_bytes()
    whole = len(data) // RECORD.size * RECORD.size
    return [ServedRequest(*fields) for fields in RECORD.iter_unpack(data[:whole])]
