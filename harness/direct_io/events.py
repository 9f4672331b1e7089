# SPDX-License-Identifier: GPL-2.0-or-later
"""What the BPF programs record of reads (harness/capture/direct_io.bpf.c)."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from harness.capture.ring import HEADER_BYTES

__all__ = ["EVENTS_FILE", "EVENT_BYTES", "RECORD", "Kind"]

EVENTS_FILE = "direct_io_events.npz"


class Kind(IntEnum):
    """Kind of an event."""

    BIO = 1
    """A bio is queued: `start` is its sector, `flags` are `bi_opf`."""
    DIRECT = 2
    """`iomap_dio_rw` begins: `start` and `length` as asked for, `flags` are `ki_flags`."""
    PAGE = 3
    """A folio gets into the page cache: `start` is its first page's index, `length` in older records 0."""
    MAP_REMOVED = 4
    """The shrinker has taken an extent map out of the cache."""
    CALL = 5
    """`btrfs_file_read_iter` begins for a caller who waits: `start` and `length`, `flags` are `ki_flags`."""
    QUEUED_CALL = 6
    """The same for one who is told later."""
    DONE = 7
    """`iomap_dio_complete`: `length` is what it returns, -errno as a signed number."""
    PAGE_REMOVED = 8
    """A page is taken out of the page cache: `start` is its index."""


# struct event in direct_io.bpf.c, behind the ring buffer's record header.
RECORD = np.dtype(
    [
        ("header", f"V{HEADER_BYTES}"),
        ("time_ns", "<u8"),
        ("number", "<u8"),
        ("ino", "<u8"),
        ("start", "<u8"),
        ("length", "<u8"),
        ("iocb", "<u8"),
        ("dev", "<u4"),
        ("flags", "<u4"),
        ("pid", "<u4"),
        ("kind", "<u4"),
    ]
)
EVENT_BYTES = RECORD.itemsize - HEADER_BYTES
