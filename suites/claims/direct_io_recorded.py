# SPDX-License-Identifier: GPL-2.0-or-later
"""What recorded kernels did with direct reads of each kind of extent; nothing of it is from a model."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.bundle import Bundle
from harness.claims import Table
from harness.direct_io.events import EVENTS_FILE
from harness.direct_io.record import DirectRead, Layout, load_layout, load_reads
from harness.direct_io.seen import Seen, seen_by_read
from harness.judge.direct_io import judge_direct_reads
from harness.verdicts import Verdict
from reference.direct_io.mainline import File
from reference.direct_io.mainline.file import BLOCK, block_end
from reference.direct_io.source import Compression, ExtentType, FileExtent

__all__ = [
    "EMPTY",
    "ODD",
    "ROWS",
    "TWICE",
    "UNALIGNED",
    "Recorded",
    "by_kernel",
    "kinds_of",
    "named_kind",
    "recorded",
]

ODD = "in sectors of 512 bytes, not in blocks"
UNALIGNED = "not in sectors of 512 bytes"
EMPTY = "with an empty vector at an odd address"
SECTOR = 512
TWICE = "into two vectors that begin at one address"
SEVERAL = "more than one of these"
ROWS = (
    *("hole", "preallocated", "plain", "plain, no checksums", "inline", "inline, compressed"),
    *("zlib", "lzo", "zstd", SEVERAL, ODD, UNALIGNED, TWICE, EMPTY),
)


@dataclass(frozen=True)
class Recorded:
    """A bundle of direct reads that passes."""

    kernel: str
    """Its release."""
    layout: Layout
    reads: Sequence[DirectRead]
    seen: defaultdict[int, Seen]


def recorded(bundles: Sequence[Bundle]) -> tuple[list[Recorded], list[str]]:
    """Return the bundles that have direct reads, one at a time, and pass; and which do not pass.

    Raises UnknownBehaviourError for a kernel that the model does not know.
    """
    found, failing = [], []
    for bundle in bundles:
        if not bundle.has(EVENTS_FILE):
            continue
        layout, (reads, events) = load_layout(bundle), load_reads(bundle)
        if layout.by_call:
            continue
        # With a layout of its own, as it damages what that has.
        checks = judge_direct_reads(bundle).checks
        if checks and all(check.verdict is Verdict.PASS for check in checks):
            release = bundle.manifest["kernel"]["release"]
            found.append(Recorded(release, layout, reads, seen_by_read(layout, reads, events)))
        else:
            failing.append(str(bundle.path))
    return found, failing


def by_kernel(records: Sequence[Recorded], failing: Sequence[str] = ()) -> Table:
    """Return the table of how many reads of what were direct to their end, on which kernel."""
    kernels = sorted({one.kernel for one in records}, key=_in_order)
    reads: Counter[tuple[str, str]] = Counter()
    direct: Counter[tuple[str, str]] = Counter()
    for one in records:
        for read, seen in _plain_reads(one):
            place = one.kernel, named_kind(one.layout.files[read.file], read)
            reads[place] += 1
            direct[place] += not seen.pages
    rows = [(kind, *(_cell(direct[k, kind], reads[k, kind]) for k in kernels)) for kind in ROWS]
    left_out = f" Left out, as they do not pass: {', '.join(failing)}." if failing else ""
    return Table(
        "Recorded: reads that were direct to their end",
        ("what is read", *kernels),
        tuple(rows),
        "Reads with O_DIRECT of files of which nothing was in memory. One that is not direct to its end has "
        "brought pages into the page cache; of one kind of extent, that is from its first byte on."
        f"{left_out}",
    )


def _in_order(release: str) -> list[int]:
    """Return what releases are sorted by.

    >>> sorted(["6.12.1-a", "6.2.0", "5.10.0-4"], key=_in_order)
    ['5.10.0-4', '6.2.0', '6.12.1-a']
    """
    return [int(number) for number in re.findall(r"\d+", release)]


def _cell(direct: int, reads: int) -> str:
    """Return how many of how many, in words.

    >>> _cell(0, 0), _cell(5, 5), _cell(0, 1200), _cell(2, 7)
    ('-', 'all of 5', 'none of 1,200', '2 of 7')
    """
    if not reads:
        return "-"
    return f"{'all' if direct == reads else direct or 'none'} of {reads:,}"


def _plain_reads(record: Recorded) -> Iterator[tuple[DirectRead, Seen]]:
    """Yield the reads that began with nothing in memory and met nothing but the file, with what was seen."""
    for number, read in enumerate(record.reads):
        if not (read.cached or read.nowait or read.copies) and read.returned > 0:
            yield read, record.seen[number]


def named_kind(file: File, read: DirectRead) -> str:
    """Return what a read that returns something reads, as one of `ROWS`."""
    places = read.offset, *(n for base, length in read.iov if length for n in (base, length))
    if any(place % SECTOR for place in places):
        return UNALIGNED
    if any(place % BLOCK for place in places):
        return ODD
    if len({base for base, _ in read.iov}) < len(read.iov):
        return TWICE
    if any(base % SECTOR for base, length in read.iov if not length):
        return EMPTY
    kinds = kinds_of(file, read.offset, read.offset + sum(length for _, length in read.iov))
    return kinds.pop() if len(kinds) == 1 else SEVERAL


def kinds_of(file: File, start: int, end: int) -> set[str]:
    """Return which kinds of extent a range has, up to the file's end."""
    end = min(end, file.i_size)
    kinds = set()
    for item in file.items:
        if start >= end or item.file_offset >= end:
            break
        behind = block_end(item.end)
        if behind > start:
            kinds |= {"hole"} if item.file_offset > start else set()
            kinds.add(_kind(file, item))
            start = behind
    return kinds | ({"hole"} if start < end else set())


def _kind(file: File, item: FileExtent) -> str:
    if item.type is ExtentType.INLINE:
        return "inline, compressed" if item.compression else "inline"
    if not item.disk_bytenr:
        return "hole"
    if item.type is ExtentType.PREALLOC:
        return "preallocated"
    if item.compression is not Compression.NONE:
        return item.compression.name.lower()
    return "plain, no checksums" if file.nodatasum else "plain"
