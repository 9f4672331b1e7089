# SPDX-License-Identifier: GPL-2.0-or-later
"""Records of direct reads come back from a bundle as they were; the events are those of the program."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from harness.bundle import BundleWriter
from harness.capture.program import DIRECT_IO
from harness.direct_io.contents import StoredContents
from harness.direct_io.damage import CopyState, Damage, DamagedDevices, damage_data
from harness.direct_io.events import EVENT_BYTES, RECORD, Kind
from harness.direct_io.record import (
    DirectRead,
    Layout,
    load_layout,
    load_reads,
    save_layout,
    save_reads,
)
from harness.errors import UserError
from reference.direct_io.mainline import BadBlock, File, Volume
from reference.direct_io.source import Compression, ExtentType, FileExtent, IoVec
from reference.ondisk import BlockGroupFlag, Chunk, ChunkMap, ChunkStripe
from reference.readahead.source import Stripe

BLOCK = 4096
REGULAR = FileExtent(0, ExtentType.REG, Compression.NONE, BLOCK, 1 << 20, BLOCK, 0, BLOCK)
INLINE = FileExtent(0, ExtentType.INLINE, Compression.ZLIB, 5, inline_data=b"packed")


def layout() -> Layout:
    contents = StoredContents({b"packed": b"12345", 3 << 20: b"z" * 100})
    contents.add(1 << 20, b"a" * BLOCK)
    contents.add((1 << 20) + BLOCK, b"b" * BLOCK)
    contents.add(2 << 20, b"c" * BLOCK)
    chunk = Chunk(1 << 20, 8 << 20, BlockGroupFlag.DATA, (ChunkStripe(1, 5 << 20),))
    files = [File(BLOCK, (REGULAR,)), File(5, (INLINE,), nodatasum=True)]
    return Layout(
        files,
        Volume(ChunkMap([chunk]), frozenset({1})),
        contents,
        {7: 1},
        {"x": 2},
        [257, 258],
        {1: 3},
        features=["symbol:iomap_dio_rw"],
    )


READS = [
    DirectRead(0, 512, [IoVec(0, 5), IoVec(BLOCK, 0)], True, BLOCK, 2 * BLOCK, False, True, True, 99, -5, 8),
    DirectRead(1, 0, [], nowait=True, copies=[CopyState(1 << 20, 1, 5 << 20, Damage.CORRUPT, 12, 13)]),
]
EVENTS = {name: np.zeros(3, RECORD[name]) for name in RECORD.names or () if name != "header"}


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    writer = BundleWriter(tmp_path / "bundle")
    save_reads(writer, READS, EVENTS)
    save_layout(writer, layout())
    bundle = writer.finish({})
    reads, events = load_reads(bundle)
    assert [(r, list(r.iov), list(r.copies)) for r in reads] == [
        (r, list(r.iov), list(r.copies)) for r in READS
    ]
    assert events.keys() == EVENTS.keys()
    before, after = layout(), load_layout(bundle)
    assert (after.files, after.devices, after.flags, after.inodes) == (
        *(before.files, before.devices, before.flags, before.inodes),
    )
    assert (after.corruption_errs, after.features) == ({1: 3}, ["symbol:iomap_dio_rw"])
    assert after.volume.chunks.chunks == before.volume.chunks.chunks
    assert (after.contents.runs, after.contents.compressed) == (
        before.contents.runs,
        before.contents.compressed,
    )


def test_a_damaged_record_is_refused(tmp_path: Path) -> None:
    writer = BundleWriter(tmp_path / "bundle")
    save_layout(writer, layout())
    (writer.path / "direct_io_layout.json").write_text('{"runs": [[0, 99999999]], "compressed": []}')
    with pytest.raises(UserError, match="record the case again"):
        load_layout(writer.finish({}))


def test_contents_are_found_across_what_touches_and_nowhere_else() -> None:
    contents = layout().contents
    assert bytes(contents.raw((1 << 20) + BLOCK - 1, 2)) == b"ab"
    for logical, length in ((0, 1), ((1 << 20) + BLOCK, BLOCK + 1), ((2 << 20) + BLOCK, 1)):
        with pytest.raises(KeyError):
            contents.raw(logical, length)
    inflated = contents.inflated(INLINE)
    assert inflated is not None
    assert bytes(inflated) == b"12345"


def test_a_damaged_copy_reads_as_such() -> None:
    contents = layout().contents
    place = Stripe(1, 5 << 20)
    contents.damaged = {place: damage_data(place)}
    assert bytes(contents.copy(1, 5 << 20, 1 << 20, BLOCK)) == damage_data(place)
    assert bytes(contents.copy(2, 5 << 20, 1 << 20, BLOCK)) == b"a" * BLOCK
    assert contents.bad_blocks(1, (5 << 20) - BLOCK, 0, 2 * BLOCK) == {BLOCK: BadBlock.CORRUPT}
    assert not contents.bad_blocks(1, (5 << 20) + BLOCK, 0, 2 * BLOCK)
    assert not contents.bad_blocks(2, 5 << 20, 0, BLOCK)


def test_devices_are_damaged_and_healed(tmp_path: Path) -> None:
    image = tmp_path / "device"
    image.write_bytes(b"g" * 4 * BLOCK)
    copies = [CopyState(0, 1, BLOCK, damaged=Damage.CORRUPT), CopyState(0, 1, 2 * BLOCK, damaged=Damage.NONE)]
    with DamagedDevices.opened({1: image}) as devices:
        devices.damage(copies)
        assert image.read_bytes()[BLOCK : 2 * BLOCK] == damage_data(copies[0].stripe)
        assert [one.before == one.after for one in devices.look()] == [False, True]
    assert image.read_bytes() == b"g" * 4 * BLOCK


def test_events_are_as_the_program_writes_them() -> None:
    source = DIRECT_IO.read_text()
    body = re.search(r"struct event \{(.*?)\n\};", source, re.DOTALL)
    assert body
    fields = re.findall(r"\b(u32|u64) (\w+);", body[1])
    sizes = {"u32": 4, "u64": 8}
    assert [(name, sizes[kind]) for kind, name in fields] == [
        (name, RECORD[name].itemsize) for name in (RECORD.names or ())[1:]
    ]
    assert EVENT_BYTES == 64
    kinds = re.search(r"enum kind \{ (\w+) = 1, (.*?) \};", source)
    assert kinds
    assert [kinds[1], *kinds[2].split(", ")] == [kind.name for kind in Kind]
