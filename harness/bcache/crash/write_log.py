# SPDX-License-Identifier: GPL-2.0-or-later
"""The log of a disk under dm-log-writes: what was written to it, in the order in which it became durable.

The target (drivers/md/dm-log-writes.c) logs a write when nothing can take it back any more: FUA writes when
they complete, all others when a flush that began after their completion has ended. What was never flushed is
logged nowhere. So every beginning of the log is what a disk may hold that loses all of its write cache.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag
from typing import BinaryIO

from harness.errors import InfrastructureError

__all__ = ["SECTOR", "Entry", "Flag", "read_log"]

SECTOR = 512

_MAGIC = 0x6A736677736872
_SUPER = struct.Struct("<QQQI")
"""struct log_write_super: magic, version, nr_entries, sectorsize."""
_ENTRY = struct.Struct("<QQQQ")
"""struct log_write_entry: sector, nr_sectors, flags, data_len; a mark's text follows it in its sector."""
_END = b"dm-log-writes-end"


class Flag(IntFlag):
    """LOG_*_FLAG of dm-log-writes.c."""

    FLUSH = 1
    FUA = 2
    DISCARD = 4
    MARK = 8
    METADATA = 16


@dataclass(frozen=True)
class Entry:
    """What was logged."""

    sector: int
    sectors: int
    flags: Flag
    data: bytes
    """What was written; of a mark its text; nothing of flushes and discards."""

    @property
    def waits_for_flush(self) -> bool:
        """Whether it was in the disk's write cache until the next flush in the log."""
        return not self.flags & (Flag.FLUSH | Flag.FUA | Flag.MARK)

    @property
    def is_flush(self) -> bool:
        """Whether it made what stood before it durable."""
        return bool(self.flags & Flag.FLUSH)

    @property
    def mark(self) -> str | None:
        """The text of a mark."""
        return self.data.decode() if self.flags & Flag.MARK else None


def read_log(log: BinaryIO) -> list[Entry]:
    """Return what a log holds, from the file of its device, after its mapped device is gone.

    InfrastructureError when the log is none or its end is missing: it ran out of space.
    """
    entries = list(_entries(log))
    if not entries or entries[-1].data != _END:
        raise InfrastructureError("the log of writes has no end: its device was too small")
    return entries[:-1]


def _entries(log: BinaryIO) -> Iterator[Entry]:
    log.seek(0)
    magic, _, count, unit = _SUPER.unpack(log.read(_SUPER.size))
    if magic != _MAGIC or unit % SECTOR or not unit:
        raise InfrastructureError("there is no log of writes")
    position = unit
    for _ in range(count):
        log.seek(position)
        head = log.read(unit)
        sector, sectors, flags, length = _ENTRY.unpack_from(head)
        position += unit
        data = b""
        if flags & Flag.MARK:
            data = head[_ENTRY.size : _ENTRY.size + length]
        elif not flags & Flag.DISCARD:
            log.seek(position)
            data = log.read(sectors * unit)
            position += sectors * unit
        scale = unit // SECTOR
        yield Entry(sector * scale, sectors * scale, Flag(flags), data)
