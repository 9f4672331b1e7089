# SPDX-License-Identifier: GPL-2.0-or-later
"""Direct reads held against the model of mainline: bytes, return value, way and bios of each."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import crc32c

from harness.bundle import Bundle, Table
from harness.direct_io.events import EVENTS_FILE, Kind
from harness.direct_io.reads import POISON
from harness.direct_io.record import DirectRead, Layout, load_layout, load_reads
from harness.verdicts import Check, Difference
from reference.direct_io.mainline import Behaviour, Bio, BioKind, DirectCall, Outcome, Reader
from reference.direct_io.source import Request

__all__ = ["ReadDifference", "checks_of_direct_reads", "judge_reads"]

SECTOR = 512
OP_MASK = 0xFF
"""REQ_OP_MASK: the operation in `bi_opf`; 0 is REQ_OP_READ."""
BIO_MAX_BYTES = 256 * 4096
"""A bio of 256 pages; one of more is full when it has met as many pages that do not lie side by side."""

ReaderFactory = Callable[[Layout, int], Reader]


def checks_of_direct_reads(bundle: Bundle, make: ReaderFactory | None = None) -> list[Check]:
    """Return the checks of a bundle's direct reads; none if it has none. UserError for damaged files."""
    if not bundle.has(EVENTS_FILE) or bundle.manifest["capture"]["lost"]:
        return []
    layout = load_layout(bundle)
    reads, events = load_reads(bundle)
    return judge_reads(layout, reads, events, make or mainline_reader)


def mainline_reader(layout: Layout, number: int) -> Reader:
    """Return the model of one of the files."""
    return Reader(layout.files[number], layout.volume, layout.contents, Behaviour.linux_6_18)


@dataclass
class Seen:
    """What the kernel did for a read."""

    direct: list[DirectCall] = field(default_factory=list)
    bios: list[Bio] = field(default_factory=list)
    pages: list[int] = field(default_factory=list)
    removed: list[tuple[int, int]] = field(default_factory=list)
    """Extent maps that the shrinker took: start and length."""
    writes: list[Bio] = field(default_factory=list)
    """Data that was written."""


@dataclass(frozen=True)
class ReadDifference:
    """A check that a read did not pass."""

    check: str
    number: int
    read: DirectRead
    model: str
    kernel: str

    @cached_property
    def text(self) -> str:
        """All of it in one line."""
        vectors = ", ".join(f"{length} at {base:#x}" for base, length in self.read.iov)
        return (
            f"read {self.number} of file {self.read.file} at {self.read.offset} ({vectors}): "
            f"{self.check}: model {self.model}, kernel {self.kernel}"
        )


CHECKS = ("return values", "memory", "direct calls", "bios", "writes", "cached pages")


def judge_reads(
    layout: Layout, reads: Sequence[DirectRead], events: Table, make: ReaderFactory = mainline_reader
) -> list[Check]:
    """Return a check of each kind over all reads."""
    compared = dict.fromkeys(CHECKS, 0)
    wrong: defaultdict[str, list[ReadDifference]] = defaultdict(list)
    for number, read, seen, outcome in replayed(layout, reads, events, make):
        for check, count, difference in _compare(read, seen, outcome):
            compared[check] += count
            if difference is not None:
                wrong[check].append(ReadDifference(check, number, read, *difference))
    return [_check(name, compared[name], wrong[name]) for name in CHECKS]


def replayed(
    layout: Layout, reads: Sequence[DirectRead], events: Table, make: ReaderFactory = mainline_reader
) -> Iterator[tuple[int, DirectRead, Seen, Outcome]]:
    """Yield each read with what the kernel did and what the model does."""
    readers: dict[int, Reader] = {}
    seen = _seen(layout, events)
    for number, read in enumerate(reads):
        if read.file not in readers:
            readers[read.file] = make(layout, read.file)
        reader = readers[read.file]
        found = seen.get(number, Seen())
        if not read.cached:
            reader.cache.drop()
        yield number, read, found, reader.read(_request(read), nowait=read.nowait)


def _request(read: DirectRead) -> Request:
    length = sum(length for _, length in read.iov)
    return Request(read.offset, read.iov, length, pid=read.tid)


def _seen(layout: Layout, events: Table) -> dict[int, Seen]:
    sync, meta, ahead = (layout.flags[f"__REQ_{name}"] for name in ("SYNC", "META", "RAHEAD"))
    found: defaultdict[int, Seen] = defaultdict(Seen)
    columns = (events[name].tolist() for name in ("number", "kind", "start", "length", "dev", "flags", "ino"))
    for number, kind, start, length, dev, flags, ino in zip(*columns, strict=True):
        one = found[number]
        if kind == Kind.BIO and length and not flags & meta:
            way = BioKind.BUFFERED if flags & ahead else BioKind.COMPRESSED
            way = BioKind.DIRECT if flags & sync else way
            bios = one.writes if flags & OP_MASK else one.bios
            bios.append(Bio(way, layout.devices[dev], start * SECTOR, length))
        elif kind == Kind.DIRECT:
            one.direct.append(DirectCall(start, length))
        elif kind == Kind.MAP_REMOVED:
            one.removed.append((start, length))
        elif kind == Kind.PAGE and ino in layout.inodes:
            one.pages.append(start)
    return found


_Compared = tuple[str, int, tuple[str, str] | None]
"""The check, how many things were compared, and where they differ: model and kernel."""


def _compare(read: DirectRead, seen: Seen, outcome: Outcome) -> Iterator[_Compared]:
    same = outcome.returned == read.returned
    yield "return values", 1, None if same else (_returned(outcome.returned), _returned(read.returned))
    digest = crc32c.crc32c(_memory(read, outcome))
    yield "memory", 1, None if digest == read.digest else (f"{digest:08x}", f"{read.digest:08x}")
    yield "direct calls", len(outcome.direct) or 1, _lists(outcome.direct, seen.direct)
    bios = None if _same_bios(outcome, seen.bios) else _lists(outcome.bios, seen.bios)
    yield "bios", len(outcome.bios) or 1, bios
    yield "writes", 1, _lists([], seen.writes)
    yield "cached pages", len(outcome.pages) or 1, _lists(outcome.pages, seen.pages)


def _returned(value: int) -> str:
    return os.strerror(-value) if value < 0 else f"{value} bytes"


def _memory(read: DirectRead, outcome: Outcome) -> bytearray:
    memory = bytearray([POISON]) * read.memory_bytes
    for address, data in outcome.writes:
        if isinstance(data, int):
            memory[address : address + data] = bytes(data)
        else:
            memory[address : address + len(data)] = data
    return memory


def _lists(model: Sequence[object], kernel: Sequence[object]) -> tuple[str, str] | None:
    if list(model) == list(kernel):
        return None
    return _from_first_difference(model, kernel), _from_first_difference(kernel, model)


def _from_first_difference(one: Sequence[object], other: Sequence[object]) -> str:
    pairs = enumerate(zip(one, other, strict=False))
    place = next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))
    shown = ", ".join(map(str, one[place : place + 4])) or "nothing"
    return f"{len(one)}, from number {place} on {shown}"


def _same_bios(outcome: Outcome, kernel: Sequence[Bio]) -> bool:
    """Whether the bios are the same, one by one.

    Where the page cache fills more than `BIO_MAX_BYTES` at once, how the pages lie in memory decides where
    the bio ends: there, cuts between neighbours are not compared, only how many there can be.
    """
    if outcome.longest_buffered <= BIO_MAX_BYTES:
        return outcome.bios == list(kernel)
    most = len(outcome.bios) + sum(bio.length for bio in outcome.bios) // BIO_MAX_BYTES
    return len(kernel) <= most and _joined(outcome.bios) == _joined(kernel)


def _joined(bios: Sequence[Bio]) -> list[Bio]:
    joined: list[Bio] = []
    for bio in bios:
        before = joined[-1] if joined else None
        if before and bio == (BioKind.BUFFERED, before.devid, before.physical + before.length, bio.length):
            joined[-1] = before._replace(length=before.length + bio.length)
        else:
            joined.append(bio)
    return joined


def _check(name: str, compared: int, wrong: Sequence[ReadDifference]) -> Check:
    first = None
    if wrong:
        lines = tuple(difference.text for difference in wrong[:20])
        first = Difference(summary=wrong[0].text, event=wrong[0].number, kernel=lines)
    return Check.of(name, compared, len(wrong), first=first)
