# SPDX-License-Identifier: GPL-2.0-or-later
"""What recorded requests would have cost in the design of 2010, and cost in mainline, by the models of both.

Each request is made alone, on the file as it was recorded, with nothing in memory.
"""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.claims import Fact, Figure, Table
from harness.direct_io.contents import compressed_key
from harness.direct_io.record import DirectRead, Layout
from reference.direct_io.mainline import Behaviour, File, How, Outcome, Reader
from reference.direct_io.mainline.file import block_end
from reference.direct_io.rfc_2010 import Behaviour as Behaviour2010
from reference.direct_io.run import Run, run
from reference.direct_io.source import Compression, ExtentType, FileExtent, IoVec, Request
from reference.direct_io.synthetic import BLOCK, Case, Disk, SyntheticFile
from reference.ondisk import BlockGroupFlag
from suites.claims.direct_io_recorded import ROWS, UNALIGNED, Recorded, named_kind
from suites.claims.rules import holds

__all__ = ["MOST_REQUESTS", "Cost", "costs", "file_of_2010"]

MOST_REQUESTS = 250
"""Of each bundle: its first ones."""
MEMORY = 0x100000
"""Where the user's memory begins; records count from its start."""
DESIGN = "2010"
COMPARED = "6.18"
KERNELS: dict[str, Behaviour] = {
    name.removeprefix("linux_").replace("_", "."): getattr(Behaviour, name)
    for name in sorted(vars(Behaviour), key=lambda name: [int(n) for n in name.split("_")[1:] if n.isdigit()])
    if name.startswith("linux_")
}
"""Those that the model knows by name."""
MIB = 1 << 20
COSTS = (
    ("bios", "bios, for each MiB returned", MIB),
    ("read", "bytes read from devices, for each returned", 1),
    ("written", "bytes that the CPU writes to the user's memory, for each returned", 1),
    ("cached", "bytes of pages that get into the page cache, for each returned", 1),
)
"""Fields of `Cost`, what they are called, and their unit."""
NEWER = BlockGroupFlag.RAID56_MASK
SECTORS, NR_VECS, MAX_BYTES = 512, 128, 512 << 10
"""Of each disk: its sectors, and how many pages and bytes a bio has at most."""


@dataclass
class Cost:
    """What requests came to."""

    requests: int = 0
    returned: int = 0
    """Bytes."""
    bios: int = 0
    read: int = 0
    """Bytes from devices."""
    written: int = 0
    """Bytes that the CPU wrote to the user's memory."""
    cached: int = 0
    """Bytes of pages that got into the page cache."""


@dataclass
class _Compared:
    """The same requests, in each way."""

    ways: dict[str, Cost] = field(default_factory=lambda: defaultdict(Cost))
    differ: int = 0
    """Requests of which the models say that other bytes come back, or another number of them."""


def costs(records: Sequence[Recorded]) -> tuple[Fact, list[Table]]:
    """Return whether both designs read the same, and what that takes, a table for each kind of cost."""
    by_kind: dict[str, _Compared] = defaultdict(_Compared)
    left_out: Counter[str] = Counter()
    for record in records:
        files = [file_of_2010(record.layout, number) for number in range(len(record.layout.files))]
        for read in record.reads[:MOST_REQUESTS]:
            if read.nowait or read.returned <= 0:
                continue
            kind = named_kind(record.layout.files[read.file], read)
            file = files[read.file]
            if kind == UNALIGNED:
                left_out["refused by the design of 2010, as they are not in sectors"] += 1
            elif file is None or not _known(record.layout, read):
                left_out["of lzo, zstd, RAID5 or RAID6, which came later"] += 1
            else:
                _compare(by_kind[kind], record.layout, read, file)
    count = sum(one.ways[DESIGN].requests for one in by_kind.values())
    fact = holds(
        "by the models, recorded requests: the design of 2010 returns what 6.18 returns",
        count,
        sum(one.differ for one in by_kind.values()),
    )
    return fact, _tables(by_kind, left_out)


def _tables(by_kind: Mapping[str, _Compared], left_out: Mapping[str, int]) -> list[Table]:
    told = "; ".join(f"{count:,} {why}" for why, count in left_out.items()) or "none"
    note = f"Each request alone, with nothing in memory. Requests left out: {told}."
    kinds = [kind for kind in ROWS if kind in by_kind]
    return [
        Table(
            f"By the models, for the same recorded requests: {title}",
            ("what is read", "requests", "MiB returned", DESIGN, *KERNELS),
            tuple(_row(kind, by_kind[kind], name, unit) for kind in kinds),
            note,
        )
        for name, title, unit in COSTS
    ]


def _row(kind: str, compared: _Compared, name: str, unit: float) -> tuple[Figure, ...]:
    of_design = compared.ways[DESIGN]
    each = [getattr(compared.ways[way], name) * unit / of_design.returned for way in (DESIGN, *KERNELS)]
    return kind, of_design.requests, of_design.returned / MIB, *each


def _compare(compared: _Compared, layout: Layout, read: DirectRead, file: SyntheticFile) -> None:
    iov = tuple(IoVec(base + MEMORY, length) for base, length in read.iov)
    case = Case((), offset=read.offset, iov=iov, is_sync=not read.aio, pid=read.tid)
    done = run(case, Behaviour2010.corrected, file)
    bios = done.kernel.submitted
    read_bytes = sum(bio.length for bio in bios)
    _add(compared.ways[DESIGN], done.result, len(bios), read_bytes, done.kernel.copied, 0)
    for name, behaviour in KERNELS.items():
        reader = Reader(layout.files[read.file], layout.volume, layout.contents, behaviour)
        total = sum(length for _, length in read.iov)
        outcome = reader.read(Request(read.offset, read.iov, total, pid=read.tid))
        length = sum(bio.length for bio in outcome.bios)
        end = read.offset + outcome.returned
        by_cpu = [part for part in outcome.parts if part.how is not How.DIRECT and part.start < end]
        written = sum(min(part.end, end) - part.start for part in by_cpu)
        pages = len(outcome.pages) * BLOCK
        _add(compared.ways[name], outcome.returned, len(outcome.bios), length, written, pages)
        if name == COMPARED:
            compared.differ += _differ(done, outcome, read)


def _add(cost: Cost, returned: int, bios: int, read: int, written: int, cached: int) -> None:
    cost.requests += 1
    cost.returned += returned
    cost.bios += bios
    cost.read += read
    cost.written += written
    cost.cached += cached


def _differ(done: Run, outcome: Outcome, read: DirectRead) -> bool:
    """Whether the bytes that are returned are others, vector by vector."""
    if done.result != outcome.returned:
        return True
    memory = bytearray(read.memory_bytes)
    for address, data in outcome.writes:
        length = data if isinstance(data, int) else len(data)
        memory[address : address + length] = bytes(data)
    if len({base for base, _ in read.iov}) < len(read.iov):
        # Which of two vectors at one place is written last is nobody's business.
        return False
    left = done.result
    for base, length in read.iov:
        part = min(length, left)
        if memory[base : base + part] != _memory_of(done, base + MEMORY, part):
            return True
        left -= part
    return False


def _memory_of(done: Run, address: int, length: int) -> bytes:
    pages = done.kernel.memory.pages
    first, last = address // BLOCK, -(-(address + length) // BLOCK)
    data = b"".join(bytes(pages[number].data) for number in range(first, last))
    return data[address - first * BLOCK :][:length]


def _known(layout: Layout, read: DirectRead) -> bool:
    """Whether a kernel of 2010 knows all that is read: no RAID5 and 6, of compressions zlib."""
    file = layout.files[read.file]
    end = min(read.offset + sum(length for _, length in read.iov), file.i_size)
    for item in file.items:
        if item.file_offset >= end or item.end <= read.offset:
            continue
        if item.compression not in (Compression.NONE, Compression.ZLIB):
            return False
        chunk = layout.volume.chunks.lookup(item.disk_bytenr) if item.disk_bytenr else None
        if chunk and chunk.type & NEWER:
            return False
    return True


def file_of_2010(layout: Layout, number: int) -> SyntheticFile | None:
    """Return a recorded file as the model of 2010 takes it; None if one of its zlib streams does not fit.

    Bundles keep what compressed extents hold, not the streams: these are made again.
    """
    file = layout.files[number]
    disks = {devid: Disk(SECTORS, NR_VECS, MAX_BYTES) for devid in layout.volume.present}
    chunks = list(layout.volume.chunks.chunks)
    items = _with_holes(file)
    found = SyntheticFile(file.i_size, file.nodatasum, disks, items, chunks)
    found.starts.extend(item.file_offset for item in items)
    for item in file.items:
        if item.type is not ExtentType.REG or not item.disk_bytenr:
            continue
        if item.compression not in (Compression.NONE, Compression.ZLIB):
            continue
        first, data = _stored(layout, item)
        if item.compression and len(data) != item.disk_num_bytes:
            return None
        for inside in range(0, len(data), BLOCK):
            _store(found, layout, first + inside, data[inside : inside + BLOCK])
    return found


def _with_holes(file: File) -> list[FileExtent]:
    """Return the items with one for each hole: until 3.9 none was without."""
    items: list[FileExtent] = []
    end = 0
    last = FileExtent(block_end(file.i_size))
    for item in (*file.items, last):
        if item.file_offset > end:
            items.append(FileExtent(end, num_bytes=item.file_offset - end, ram_bytes=item.file_offset - end))
        items.append(item)
        end = max(end, block_end(item.end))
    return items[:-1]


def _stored(layout: Layout, item: FileExtent) -> tuple[int, bytes]:
    """Return where what is read of an extent begins on disk, and what is there: of zlib, the whole stream."""
    if item.compression is Compression.ZLIB:
        stream = zlib.compress(layout.contents.compressed[compressed_key(item)], 9)
        return item.disk_bytenr, stream.ljust(item.disk_num_bytes, b"\0")
    first = item.disk_bytenr + item.offset
    return first, bytes(layout.contents.raw(first, item.num_bytes))


def _store(file: SyntheticFile, layout: Layout, logical: int, block: bytes) -> None:
    mapping = layout.volume.chunks.map_block(logical)
    assert mapping is not None
    for devid, physical in mapping.stripes:
        if devid in file.devices:
            file.devices[devid].blocks[physical // BLOCK] = block
    if not file.nodatasum:
        file.csums[logical] = file.csum_of(block)
