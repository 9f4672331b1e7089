# SPDX-License-Identifier: GPL-2.0-or-later
"""Several reads at a time, by hand: what is left open, and what is not."""

from __future__ import annotations

from collections.abc import Iterable
from errno import EAGAIN, EINTR

import crc32c
import numpy as np
import pytest

from harness.bundle import Table
from harness.direct_io.chains import vectors_from
from harness.direct_io.contents import StoredContents
from harness.direct_io.events import RECORD, Kind
from harness.direct_io.jobs import JobTotals
from harness.direct_io.reads import POISON
from harness.direct_io.record import DirectRead, Layout
from harness.judge.direct_io import mainline_reader
from harness.judge.direct_io_calls import SETS, judge_calls
from reference.direct_io.mainline import File, Volume
from reference.direct_io.source import ExtentType, FileExtent, IoVec
from reference.ondisk import BlockGroupFlag, Chunk, ChunkMap, ChunkStripe

BLOCK = 4096
DEVICE, SUPER, INODE = 7, 8, 257
LOGICAL, PHYSICAL = 1 << 20, 5 << 20
SYNC, META, RAHEAD = 1 << 11, 1 << 12, 1 << 19
NOWAIT = 1 << 3
DATA = b"".join(bytes([n + 1]) * BLOCK for n in range(4))


def layout_of() -> Layout:
    """A file of two items of two blocks, which touch on the disk."""
    items = [
        FileExtent(
            file_offset=at * BLOCK,
            type=ExtentType.REG,
            disk_bytenr=LOGICAL + at * BLOCK,
            disk_num_bytes=2 * BLOCK,
            num_bytes=2 * BLOCK,
            ram_bytes=2 * BLOCK,
        )
        for at in (0, 2)
    ]
    chunk = Chunk(LOGICAL, 1 << 20, BlockGroupFlag.DATA, (ChunkStripe(1, PHYSICAL),), 1, 1 << 16)
    contents = StoredContents({})
    contents.add(LOGICAL, DATA)
    return Layout(
        [File(4 * BLOCK, tuple(items))],
        Volume(ChunkMap([chunk]), frozenset({1})),
        contents,
        {DEVICE: 1},
        {"__REQ_SYNC": SYNC, "__REQ_META": META, "__REQ_RAHEAD": RAHEAD},
        [INODE],
        by_call=True,
    )


class Events:
    """Events as a kernel would record them; places and lengths in blocks, tasks by number."""

    def __init__(self) -> None:
        self._rows: list[dict[str, int]] = []
        self._latest: dict[int, int] = {}
        self.phase = 1

    def call(self, task: int, block: int, count: int, *, flags: int = 0, iocb: int = 0) -> None:
        self._latest[task] = len(self._rows) + 1
        kind = Kind.QUEUED_CALL if iocb else Kind.CALL
        iocb = iocb or task
        self._add(kind, task, block * BLOCK, count * BLOCK, dev=SUPER, flags=flags, ino=INODE, iocb=iocb)
        self._add(Kind.DIRECT, task, block * BLOCK, count * BLOCK, dev=SUPER, ino=INODE)

    def odd_call(self, task: int, iocb: int, flags: int = 0) -> None:
        """A call through the page cache, as it is no whole blocks: all of the file but its last byte."""
        self._latest[task] = len(self._rows) + 1
        place = {"dev": SUPER, "flags": flags, "ino": INODE, "iocb": iocb}
        self._add(Kind.QUEUED_CALL, task, 0, 4 * BLOCK - 1, **place)

    def fill(self, task: int) -> None:
        """Read all pages of the file into the page cache."""
        for page in range(4):
            self._add(Kind.PAGE, task, page, BLOCK, dev=SUPER, ino=INODE)
        self._add(Kind.BIO, task, PHYSICAL // 512, 4 * BLOCK, dev=DEVICE, flags=RAHEAD)

    def bio(self, task: int, block: int, count: int) -> None:
        self._add(Kind.BIO, task, PHYSICAL // 512 + block * 8, count * BLOCK, dev=DEVICE, flags=SYNC)

    def done(self, iocb: int, returned: int) -> None:
        self._add(Kind.DONE, 0, 0, returned & (2**64 - 1), dev=SUPER, ino=INODE, iocb=iocb)

    def table(self) -> Table:
        return {
            name: np.array([row.get(name, 0) for row in self._rows], RECORD[name])
            for name in RECORD.names or ()
            if name != "header"
        }

    def _add(self, kind: Kind, task: int, start: int, length: int, **more: int) -> None:
        number = self.phase << 32 | self._latest.get(task, 0)
        row = {"kind": kind, "number": number, "pid": task, "start": start, "length": length}
        self._rows.append(row | more)


def judged(
    events: Events, reads: Iterable[DirectRead] = (), jobs: Iterable[JobTotals] = ()
) -> tuple[set[str], int]:
    """Return which checks fail, and of how many calls something was left open."""
    layout = layout_of()
    layout.jobs = list(jobs)
    found = judge_calls(layout, list(reads), events.table(), mainline_reader)
    return {check.name for check in found.checks if check.wrong}, found.counts.get(SETS, 0)


@pytest.mark.parametrize("merged", [True, False])
def test_a_bio_may_end_or_not_where_another_task_loads_the_neighbour(merged: bool) -> None:
    events = Events()
    events.call(1, 0, 4)
    events.call(2, 2, 2)
    events.bio(2, 2, 2)
    if merged:
        events.bio(1, 0, 4)
    else:
        events.bio(1, 0, 2)
        events.bio(1, 2, 2)
    assert judged(events) == (set(), 1)


@pytest.mark.parametrize("merged", [True, False])
def test_alone_it_ends_where_the_map_did(merged: bool) -> None:
    events = Events()
    events.call(1, 0, 4)
    if merged:
        events.bio(1, 0, 4)
    else:
        events.bio(1, 0, 2)
        events.bio(1, 2, 2)
    assert judged(events) == ({"bios"} if merged else set(), 0)


@pytest.mark.parametrize("merged", [True, False])
def test_behind_a_call_that_has_returned_it_goes_on(merged: bool) -> None:
    events = Events()
    events.call(2, 2, 2)
    events.bio(2, 2, 2)
    events.call(2, 2, 1)
    events.bio(2, 2, 1)
    events.phase += 1
    events.call(1, 0, 4)
    if merged:
        events.bio(1, 0, 4)
    else:
        events.bio(1, 0, 2)
        events.bio(1, 2, 2)
    assert judged(events) == (set() if merged else {"bios"}, 0)


@pytest.mark.parametrize(
    ("block", "ended", "right"),
    [(0, False, True), (0, True, False), (1, False, False)],
    ids=["under way", "ended", "another block"],
)
def test_a_lock_is_refused_only_while_another_call_may_have_it(block: int, ended: bool, right: bool) -> None:
    events = Events()
    events.call(1, block, 1, iocb=10)
    events.bio(1, block, 1)
    if ended:
        events.done(10, BLOCK)
    events.call(1, 0, 1, flags=NOWAIT, iocb=11)
    events.done(11, -EAGAIN)
    events.call(2, 0, 1, iocb=11)
    events.bio(2, 0, 1)
    wrong, left_open = judged(events)
    assert (not wrong, left_open) == (right, int(right))


@pytest.mark.parametrize("waited", [False, True])
def test_pages_may_be_on_their_way_unless_somebody_waited_for_them(waited: bool) -> None:
    events = Events()
    events.odd_call(1, 10, flags=0 if waited else NOWAIT)
    events.fill(1)
    # The task's next call: the one before has returned.
    events.odd_call(1, 11, flags=NOWAIT)
    if not waited:
        events.odd_call(2, 10)
    events.odd_call(2, 11)
    wrong, left_open = judged(events)
    assert (wrong, left_open) == (({"return values"}, 0) if waited else (set(), 2))


def test_what_was_tried_without_waiting_has_to_go_on() -> None:
    events = Events()
    events.call(1, 0, 2, flags=NOWAIT, iocb=10)
    events.done(10, -EAGAIN)
    assert judged(events) == ({"return values"}, 0)
    events.call(2, 0, 2, iocb=10)
    events.bio(2, 0, 2)
    assert judged(events) == (set(), 0)


def test_the_kernels_results_are_compared() -> None:
    events = Events()
    events.call(1, 0, 1)
    events.bio(1, 0, 1)
    events.done(1, -EINTR)
    assert judged(events) == ({"direct results"}, 0)


def read_of(block: int, *, returned: int = BLOCK, data: bytes | None = None) -> DirectRead:
    data = DATA[block * BLOCK :][:BLOCK] if data is None else data
    read = DirectRead(0, block * BLOCK, [IoVec(0, BLOCK)], returned=returned)
    memory = data + bytes([POISON]) * (read.memory_bytes - len(data))
    return DirectRead(0, block * BLOCK, read.iov, returned=returned, digest=crc32c.crc32c(memory))


def one_block_each(*blocks: int) -> Events:
    events = Events()
    for iocb, block in enumerate(blocks, 10):
        events.call(1, block, 1, iocb=iocb)
        events.bio(1, block, 1)
    return events


def test_each_read_has_its_call() -> None:
    assert judged(one_block_each(0, 1), [read_of(1), read_of(0)]) == (set(), 0)
    assert judged(one_block_each(0, 1), [read_of(0)]) == ({"calls"}, 0)
    assert judged(one_block_each(0), [read_of(0), read_of(1)]) == ({"calls"}, 0)


def test_data_and_returns_of_each_read_are_compared() -> None:
    assert judged(one_block_each(0), [read_of(0, data=DATA[BLOCK:][:BLOCK])]) == ({"memory"}, 0)
    assert judged(one_block_each(0), [read_of(0, returned=512)]) == ({"return values"}, 0)


def test_fio_counts_what_the_kernel_did() -> None:
    assert judged(one_block_each(0, 2), jobs=[JobTotals(1, "job", 2, 2 * BLOCK)]) == (set(), 0)
    assert judged(one_block_each(0, 2), jobs=[JobTotals(1, "job", 3, 3 * BLOCK)]) == ({"fio's totals"}, 0)


def test_vectors_go_on_behind_what_is_read() -> None:
    vectors = [IoVec(1, 0), IoVec(0, BLOCK), IoVec(8 * BLOCK, 2 * BLOCK)]
    assert vectors_from(vectors, 0) == vectors[1:]
    assert vectors_from(vectors, 100) == [IoVec(100, BLOCK - 100), vectors[2]]
    assert vectors_from(vectors, BLOCK) == vectors[2:]
    assert vectors_from(vectors, 2 * BLOCK) == [IoVec(9 * BLOCK, BLOCK)]
    assert vectors_from(vectors, 3 * BLOCK) == []
