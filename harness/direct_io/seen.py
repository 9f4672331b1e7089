# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel did for each read, taken out of the events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.bundle import Table
from harness.direct_io.events import Kind
from harness.direct_io.record import DirectRead, Layout
from reference.direct_io.mainline import Bio, BioKind, DirectCall

__all__ = ["PAGE", "Seen", "seen_by_number", "seen_by_read"]

SECTOR = 512
PAGE = 4096
OP_MASK = 0xFF
"""REQ_OP_MASK: the operation in `bi_opf`; 0 is REQ_OP_READ."""


@dataclass
class Seen:
    """What the kernel did for a read."""

    direct: list[DirectCall] = field(default_factory=list)
    bios: list[Bio] = field(default_factory=list)
    """Of who read."""
    repair_reads: list[Bio] = field(default_factory=list)
    """Of workers."""
    repair_writes: list[Bio] = field(default_factory=list)
    """Writes of data, whoever made them."""
    pages: list[int] = field(default_factory=list)
    """Indices, in the order in which they got into the page cache."""


def seen_by_read(layout: Layout, reads: Sequence[DirectRead], events: Table) -> defaultdict[int, Seen]:
    """Return what was done for each read, by number. Metadata is left out, and what comes with no data."""
    return seen_by_number(layout, {number: read.tid for number, read in enumerate(reads)}, events)


def seen_by_number(layout: Layout, readers: Mapping[int, int], events: Table) -> defaultdict[int, Seen]:
    """Return what was done under each number; `readers` are the threads that read, by number."""
    meta = layout.flags["__REQ_META"]
    found: defaultdict[int, Seen] = defaultdict(Seen)
    names = ("number", "kind", "start", "length", "dev", "flags", "ino", "pid")
    columns = (events[name].tolist() for name in names)
    for number, kind, start, length, dev, flags, ino, pid in zip(*columns, strict=True):
        if number not in readers:
            continue
        one = found[number]
        if kind == Kind.BIO and length and not flags & meta:
            by_reader = pid == readers[number]
            bio = Bio(_kind(flags, layout.flags, by_reader), layout.devices[dev], start * SECTOR, length)
            if flags & OP_MASK:
                one.repair_writes.append(bio._replace(kind=BioKind.REPAIR))
            else:
                (one.bios if by_reader else one.repair_reads).append(bio)
        elif kind == Kind.DIRECT:
            one.direct.append(DirectCall(start, length))
        elif kind == Kind.PAGE and ino in layout.inodes:
            one.pages += range(start, start + max(1, length // PAGE))
    return found


def _kind(flags: int, bits: Mapping[str, int], by_reader: bool) -> BioKind:
    if flags & bits["__REQ_SYNC"]:
        return BioKind.DIRECT
    if flags & bits["__REQ_RAHEAD"]:
        return BioKind.BUFFERED
    return BioKind.UNFLAGGED if by_reader else BioKind.REPAIR
