# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads that were made, what the kernel did for them, and what they were made of; kept in bundles."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import accumulate
from typing import Any

import numpy as np

from harness.bundle import Bundle, BundleWriter, Table
from harness.direct_io.contents import StoredContents
from harness.direct_io.damage import CopyState, Damage
from harness.direct_io.events import EVENTS_FILE
from harness.direct_io.jobs import JobTotals
from harness.direct_io.plan import Plan, plan_of_json, plan_to_json
from harness.errors import UserError
from reference.direct_io.mainline import File, Volume
from reference.direct_io.source import Compression, ExtentType, FileExtent, IoVec
from reference.ondisk import BlockGroupFlag, Chunk, ChunkMap, ChunkStripe

__all__ = ["READS_FILE", "DirectRead", "Layout", "load_layout", "load_reads", "save_layout", "save_reads"]

READS_FILE = "direct_io_reads.npz"
COPIES_FILE = "direct_io_copies.npz"
VECTORS_FILE = "direct_io_vectors.npz"
CONTENTS_FILE = "direct_io_contents.npz"
LAYOUT_FILE = "direct_io_layout.json"
PLAN_FILE = "direct_io_plan.json"
WORD = 8
_COLUMNS = (
    *("file", "offset", "cached", "drop_from", "drop_bytes", "nowait", "aio", "follows"),
    *("tid", "returned", "digest"),
)


@dataclass(frozen=True)
class DirectRead:
    """A read of a file that was opened with O_DIRECT. Addresses are from the start of the memory."""

    file: int
    """Which of the layout's files."""
    offset: int
    """Bytes, as `iov`."""
    iov: Sequence[IoVec]
    cached: bool = False
    """Whether pages that earlier reads had left were kept."""
    drop_from: int = 0
    """With `cached`: from where on so many bytes of pages were let go of all the same."""
    drop_bytes: int = 0
    nowait: bool = False
    """Whether it was made with RWF_NOWAIT."""
    aio: bool = False
    """Whether it was made by io_submit(2)."""
    follows: bool = False
    """Whether it was made of what the read before had left of its damage."""
    tid: int = 0
    """Thread that called."""
    returned: int = 0
    """What the call returned: bytes, or -errno."""
    digest: int = 0
    """CRC-32C of the memory, `memory_bytes` of it, which was `POISON` before."""
    copies: Sequence[CopyState] = ()
    """All copies of the blocks that were damaged before the read, or the one that it follows."""

    @property
    def memory_bytes(self) -> int:
        """How much of the memory belongs to the read: up to a page behind the last vector."""
        end = max((base + length for base, length in self.iov), default=0)
        return (end // 4096 + 2) * 4096


@dataclass
class Layout:
    """What the reads were made on."""

    files: Sequence[File]
    volume: Volume
    contents: StoredContents
    devices: Mapping[int, int] = field(default_factory=dict)
    """`dev_t` in the kernel's form -> devid."""
    flags: Mapping[str, int] = field(default_factory=dict)
    """The kernel's bits of `bi_opf`, by name."""
    inodes: Sequence[int] = ()
    """Number of each file's inode."""
    corruption_errs: Mapping[int, int] = field(default_factory=dict)
    """By devid, how much the device's count of bad checksums grew over all reads."""
    read_errs: Mapping[int, int] | None = None
    """The same of errors of reads; None in bundles of before that was kept."""
    plan: Plan | None = None
    """How the files were made; None in bundles that are older than plans."""
    features: Sequence[str] | None = None
    """Those of `reference.direct_io.mainline.FEATURES` that the kernel has. None in bundles from before they
    were kept, which are all of 6.18."""
    by_call: bool = False
    """Whether several reads were under way at a time, so that events are of calls (`recorded_calls`)."""
    jobs: Sequence[JobTotals] = ()
    """What fio told of its jobs."""

    def __str__(self) -> str:
        """Few words, where steps are told."""
        return f"{sum(len(file.items) for file in self.files)} extents"


def save_reads(writer: BundleWriter, reads: Sequence[DirectRead], events: Table) -> None:
    """Put reads and events into a bundle."""
    table = {name: np.array([getattr(read, name) for read in reads], np.int64) for name in _COLUMNS}
    table["vectors"] = np.array([len(read.iov) for read in reads], np.int64)
    writer.add_table(READS_FILE, table)
    vectors = [vector for read in reads for vector in read.iov]
    writer.add_table(
        VECTORS_FILE,
        {
            "base": np.array([base for base, _ in vectors], np.int64),
            "length": np.array([length for _, length in vectors], np.int64),
        },
    )
    copies = [(number, *copy) for number, read in enumerate(reads) for copy in read.copies]
    if copies:
        columns = zip(("read", *CopyState._fields), zip(*copies, strict=True), strict=True)
        writer.add_table(COPIES_FILE, {name: np.array(column, np.int64) for name, column in columns})
    writer.add_table(EVENTS_FILE, events)


def load_reads(bundle: Bundle) -> tuple[list[DirectRead], Table]:
    """Return what `save_reads` put there; UserError if it is something else."""
    try:
        table = bundle.table(READS_FILE)
        vectors = bundle.table(VECTORS_FILE)
        all_vectors = list(map(IoVec, vectors["base"].tolist(), vectors["length"].tolist()))
        ends = list(accumulate(table["vectors"].tolist()))
        # Bundles of before there were reads that follow do not say so.
        told = {"follows": np.zeros(len(ends), np.int64), **table}
        columns = (told[name].tolist() for name in _COLUMNS)
        reads = []
        for begin, end, row in zip([0, *ends], ends, zip(*columns, strict=True), strict=False):
            file, offset, cached, start, length, nowait, aio, follows, *rest = row
            kinds = bool(nowait), bool(aio), bool(follows)
            iov = all_vectors[begin:end]
            reads.append(DirectRead(file, offset, iov, bool(cached), start, length, *kinds, *rest))
        return _with_copies(bundle, reads), bundle.table(EVENTS_FILE)
    except (KeyError, TypeError, ValueError) as error:
        raise _no_record(bundle, READS_FILE, error) from None


def _with_copies(bundle: Bundle, reads: list[DirectRead]) -> list[DirectRead]:
    if not bundle.has(COPIES_FILE):
        return reads
    table = bundle.table(COPIES_FILE)
    copies: defaultdict[int, list[CopyState]] = defaultdict(list)
    columns = (table[name].tolist() for name in ("read", *CopyState._fields))
    for number, logical, devid, physical, damaged, before, after in zip(*columns, strict=True):
        copies[number].append(CopyState(logical, devid, physical, Damage(damaged), before, after))
    return [replace(read, copies=copies.get(number, ())) for number, read in enumerate(reads)]


def save_layout(writer: BundleWriter, layout: Layout) -> None:
    """Put the layout into a bundle."""
    if layout.plan:
        writer.add_json(PLAN_FILE, plan_to_json(layout.plan))
    contents = layout.contents
    stretches = [*contents.runs.values(), *contents.compressed.values()]
    words = b"".join(bytes(one).ljust(-(-len(one) // WORD) * WORD, b"\0") for one in stretches)
    writer.add_table(CONTENTS_FILE, {"words": np.frombuffer(words, np.uint64)})
    writer.add_json(
        LAYOUT_FILE,
        {
            "runs": [[logical, len(run)] for logical, run in contents.runs.items()],
            "compressed": [
                [key.hex() if isinstance(key, bytes) else key, len(data)]
                for key, data in contents.compressed.items()
            ],
            "files": [
                {
                    "i_size": file.i_size,
                    "nodatasum": file.nodatasum,
                    "items": [_item_to_json(item) for item in file.items],
                }
                for file in layout.files
            ],
            "inodes": list(layout.inodes),
            "chunks": [_chunk_to_json(chunk) for chunk in layout.volume.chunks.chunks],
            "present": sorted(layout.volume.present),
            "read_only": layout.volume.read_only,
            "devices": {str(dev): devid for dev, devid in layout.devices.items()},
            "flags": dict(layout.flags),
            "features": None if layout.features is None else list(layout.features),
            "by_call": layout.by_call,
            "jobs": layout.jobs,
            "bad_sums": sorted(contents.bad_sums),
            "broken": sorted(contents.broken),
            "corruption_errs": _by_devid_to_json(layout.corruption_errs),
            **({"read_errs": _by_devid_to_json(layout.read_errs)} if layout.read_errs is not None else {}),
        },
    )


def load_layout(bundle: Bundle) -> Layout:
    """Return what `save_layout` put there; UserError if it is something else."""
    try:
        told = bundle.json(LAYOUT_FILE)
        words = bundle.table(CONTENTS_FILE)["words"].tobytes()
        volume = _volume_of_json(told)
        return Layout(
            [
                File(one["i_size"], tuple(map(_item_of_json, one["items"])), one["nodatasum"])
                for one in told["files"]
            ],
            volume,
            _contents(told, words),
            {int(dev): devid for dev, devid in told["devices"].items()},
            told["flags"],
            told["inodes"],
            _by_devid_of_json(told["corruption_errs"]),
            _by_devid_of_json(told["read_errs"]) if "read_errs" in told else None,
            plan_of_json(bundle.json(PLAN_FILE)) if bundle.has(PLAN_FILE) else None,
            told.get("features"),
            told.get("by_call", False),
            [JobTotals(*job) for job in told.get("jobs", ())],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _no_record(bundle, LAYOUT_FILE, error) from None


def _contents(told: Mapping[str, Any], words: bytes) -> StoredContents:
    place = 0

    def take(length: int) -> bytes:
        nonlocal place
        data = words[place : place + length]
        if len(data) != length:
            raise ValueError("there are too few words")
        place += -(-length // WORD) * WORD
        return data

    contents = StoredContents({})
    # Bundles of before these were kept have none.
    contents.bad_sums.update(told.get("bad_sums", ()))
    contents.broken.update(told.get("broken", ()))
    for logical, length in told["runs"]:
        contents.add(logical, take(length))
    for key, length in told["compressed"]:
        contents.compressed[bytes.fromhex(key) if isinstance(key, str) else key] = take(length)
    return contents


def _volume_of_json(told: Mapping[str, Any]) -> Volume:
    chunks = ChunkMap(map(_chunk_of_json, told["chunks"]))
    # Bundles of before this was kept were mounted for writing.
    return Volume(chunks, frozenset(told["present"]), told.get("read_only", False))


def _by_devid_to_json(counts: Mapping[int, int]) -> dict[str, int]:
    return {str(devid): count for devid, count in counts.items()}


def _by_devid_of_json(told: Mapping[str, int]) -> dict[int, int]:
    return {int(devid): count for devid, count in told.items()}


def _item_to_json(item: FileExtent) -> dict[str, Any]:
    told = asdict(item)
    told["inline_data"] = item.inline_data.hex()
    default = FileExtent(0)
    return {name: value for name, value in told.items() if value and value != getattr(default, name)} | {
        "type": int(item.type)
    }


def _item_of_json(told: Mapping[str, Any]) -> FileExtent:
    values = {"file_offset": 0, **told}
    values["type"] = ExtentType(values["type"])
    values["compression"] = Compression(values.get("compression", 0))
    values["inline_data"] = bytes.fromhex(values.get("inline_data", ""))
    return FileExtent(**values)


def _chunk_to_json(chunk: Chunk) -> list[Any]:
    stripes = [[stripe.devid, stripe.offset] for stripe in chunk.stripes]
    return [chunk.start, chunk.length, int(chunk.type), stripes, chunk.sub_stripes, chunk.stripe_len]


def _chunk_of_json(told: Sequence[Any]) -> Chunk:
    start, length, flags, stripes, *rest = told
    return Chunk(start, length, BlockGroupFlag(flags), tuple(ChunkStripe(*s) for s in stripes), *rest)


def _no_record(bundle: Bundle, name: str, error: Exception) -> UserError:
    return UserError(f"{bundle.path}: {name} is no record of direct reads ({error!r}): record the case again")
