# SPDX-License-Identifier: GPL-2.0-or-later
"""Events as the capture delivers them, and the table that goes into the bundle."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.bundle import Table
from harness.capture.ring import HEADER_BYTES

__all__ = [
    "EVENT_BYTES",
    "NONE",
    "RECORD",
    "Kind",
    "foreign_frees",
    "latest_operation",
    "to_table",
    "zero_table",
]

NONE = -1


class Kind(IntEnum):
    """Kind of an event of the extent-io-tree; 1-3 are operations on a tree, 4-5 concern one extent_state."""

    SET = 1
    CLEAR = 2
    CONVERT = 3
    ALLOC = 4
    FREE = 5


# struct event in extent_io.bpf.c, behind the ring buffer's record header.
_FIELDS = [
    ("time_ns", "<u8"),
    ("ptr", "<u8"),
    ("start", "<u8"),
    ("len", "<u8"),
    ("ino", "<u8"),
    ("root", "<u8"),
    ("bits", "<u4"),
    ("clear_bits", "<u4"),
    ("pid", "<u4"),
    ("cpu", "<u2"),
    ("kind", "u1"),
    ("owner", "u1"),
]
RECORD = np.dtype([("header", f"V{HEADER_BYTES}"), *_FIELDS])
EVENT_BYTES = RECORD.itemsize - HEADER_BYTES


def to_table(records: NDArray[Any], begin_ns: int) -> Table:
    """Turn raw records into the bundle's event table; `begin_ns` is the clock when recording began, ns."""
    table = {name: records[name].copy() for name, _ in _FIELDS}
    table["time_ns"] -= np.uint64(begin_ns)
    return table


def zero_table(length: int) -> Table:
    """Return an event table of `length` rows, all zero."""
    return {name: np.zeros(length, kind) for name, kind in _FIELDS}


def foreign_frees(kind: NDArray[Any], ptr: NDArray[Any]) -> NDArray[np.bool_]:
    """Mark frees whose state was not allocated in the record since it was last freed.

    The free tracepoint knows no file system. All allocations of ours are recorded (capture begins before the
    mount), so a free without one is somebody else's.
    """
    own = np.flatnonzero(kind >= Kind.ALLOC)
    order = own[np.argsort(ptr[own], kind="stable")]
    freed = kind[order] == Kind.FREE
    allocated = np.zeros(len(order), bool)
    allocated[1:] = ~freed[:-1] & (ptr[order[1:]] == ptr[order[:-1]])
    foreign = np.zeros(len(kind), bool)
    foreign[order] = freed & ~allocated
    return foreign


def latest_operation(
    pid: NDArray[Any], is_entry: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Attribute events to operations by task.

    Returns for each event the number of the operation that its task entered last (NONE for none); for each
    operation the event at which its task entered the next one (or the number of events).
    """
    by_task = np.argsort(pid, kind="stable")
    number = np.cumsum(is_entry) - 1
    entered = np.where(is_entry[by_task], number[by_task], NONE)
    # A running maximum would leak from one task to the next: restart it at each task's first event.
    first = np.flatnonzero(np.diff(pid[by_task], prepend=-1.0) != 0)
    position = np.where(entered != NONE, np.arange(len(pid)), 0)
    position[first] = first
    latest = np.empty(len(pid), np.int64)
    latest[by_task] = entered[np.maximum.accumulate(position)]

    entries = by_task[is_entry[by_task]]
    until = np.full(len(entries), len(pid), np.int64)
    same_task = pid[entries[1:]] == pid[entries[:-1]]
    until[number[entries[:-1]][same_task]] = entries[1:][same_task]
    return latest, until
