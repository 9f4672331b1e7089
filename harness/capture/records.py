# SPDX-License-Identifier: GPL-2.0-or-later
"""Events as the capture delivers them, and the table that goes into the bundle."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.bundle import Table
from harness.capture.ring import HEADER_BYTES

__all__ = ["EVENT_BYTES", "RECORD", "Kind", "foreign_frees", "to_table"]


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


def to_table(records: NDArray[Any], begin_ns: int) -> tuple[Table, NDArray[np.int64]]:
    """Turn raw records into the bundle's event table.

    Returns the table, without the frees of states that belong to other file systems, and for each raw
    position 0..n the number of kept events before it. `begin_ns` is the clock at the beginning of the
    recording, ns.
    """
    kept = ~foreign_frees(records["kind"], records["ptr"])
    table = {name: records[name][kept] for name, _ in _FIELDS}
    table["time_ns"] -= np.uint64(begin_ns)
    return table, np.concatenate(([0], np.cumsum(kept)))


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
