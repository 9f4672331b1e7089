# SPDX-License-Identifier: GPL-2.0-or-later
"""What is wrong with a prediction of mainline's direct read: block by block, from the rules as they stand.

Nothing of the model is used: each block of the request is looked at by itself, and bios are put together from
blocks.
"""

from __future__ import annotations

import errno
from collections import Counter
from dataclasses import dataclass, replace
from itertools import groupby

from reference.direct_io.mainline import Behaviour, BioRange, How, Prediction, predict
from reference.direct_io.naive_bios import choice
from reference.direct_io.naive_data import inflated, plain_block, stored
from reference.direct_io.naive_map import copies, row_end
from reference.direct_io.source import Compression, ExtentType, FileExtent, IoVec
from reference.direct_io.synthetic import BLOCK, Case, SyntheticFile, build
from reference.ondisk import BlockGroupFlag

__all__ = ["as_mainline", "judge"]

_STRIPED = (BlockGroupFlag.RAID0, BlockGroupFlag.RAID10)


def as_mainline(case: Case) -> Case | None:
    """Return the case as one for mainline, three of four in whole blocks; None if the file cannot be."""
    whole = bool(case.order % 4)
    blocks = max(1, sum(vec.iov_len for vec in case.iov) // BLOCK)
    changed = replace(
        case,
        offset=case.offset & (-BLOCK if whole else -512),
        iov=(IoVec(0x100000, blocks * BLOCK),) if whole else case.iov,
        disks=tuple(replace(disk, logical_block_size=512) for disk in case.disks),
        is_sync=True,
        ki_left=None,
        unmapped=(),
        allocations=(),
        ordered_error=0,
        limits=Case(()).limits,
    )
    return changed if _can_be_judged(changed) else None


def _can_be_judged(case: Case) -> bool:
    if any(extent.kind in ("missing", "unreadable") for extent in case.extents):
        return False
    if case.nodatasum and any(extent.kind == "zlib" for extent in case.extents):
        # Without checksums nothing is compressed (`inode_can_compress`).
        return False
    return not any(fault.kind in ("stream", "short", "csum-unreadable") for fault in case.faults)


def judge(case: Case, behaviour: Behaviour) -> str:
    """Return what is wrong with the prediction of `case`, or nothing, also if it cannot be judged."""
    if not _can_be_judged(case):
        return ""
    file = build(case)
    return _Judge(case, file, predict(file, case.request, behaviour), behaviour).complaint()


@dataclass
class _Judge:
    case: Case
    file: SyntheticFile
    told: Prediction
    behaviour: Behaviour

    def complaint(self) -> str:
        """Compare one thing after another."""
        end = self.case.offset + sum(iov.iov_len for iov in self.case.iov)
        if self.case.offset >= self.file.i_size or end == self.case.offset:
            return "" if self.told == Prediction() else "something is read behind the end"
        ways = self._ways(end)
        due = self._result(ways, min(end, self.file.i_size))
        if self.told.result != due:
            return f"returns {self.told.result}, {due} is due"
        parts = [(part.how.value, part.start, part.end) for part in self.told.parts]
        if self.told.result >= 0 and parts != self._parts(ways, end):
            return f"goes {parts}, {self._parts(ways, end)} is due"
        direct = [at for at, way in ways.items() if way is How.DIRECT]
        return self._bios(direct) or self._repairs(direct) or self._data(ways)

    def _ways(self, end: int) -> dict[int, How]:
        """Return by file offset of each block how it is read: a buffered one makes all after it so."""
        case, ways = self.case, {}
        odd = case.offset % BLOCK or any(v.iov_len and (v.iov_base | v.iov_len) % BLOCK for v in case.iov)
        bases = [vec.iov_base for vec in case.iov]
        buffered = bool(odd) or len(set(bases)) < len(bases)
        for at in range(case.offset // BLOCK * BLOCK, end, BLOCK):
            item = self.file.extent_at(at)
            assert not isinstance(item, int)
            behind = at >= self.file.i_size
            if behind and (buffered or not self.behaviour.reads_behind_eof):
                break
            plain = item is not None and _has_data(item)
            buffered |= item is not None and (
                item.type is ExtentType.INLINE or (plain and item.compression is not Compression.NONE)
            )
            ways[at] = How.BUFFERED if buffered else How.DIRECT if plain else How.HOLE
        return ways

    def _parts(self, ways: dict[int, How], end: int) -> list[tuple[str, int, int]]:
        parts = []
        for way, group in groupby(ways, key=lambda at: ways[at]):
            blocks = list(group)
            stop = blocks[-1] + BLOCK
            if way is How.BUFFERED:
                stop = min(stop, end, self.file.i_size)
            parts.append((way.value, max(blocks[0], self.case.offset), stop))
        return parts

    def _result(self, ways: dict[int, How], end: int) -> int:
        for way in (How.DIRECT, How.BUFFERED):
            for at in (at for at, its in ways.items() if its is way):
                if not self._candidates(at):
                    done = max(0, at - self.case.offset)
                    return -errno.EIO if way is How.DIRECT else done or -errno.EIO
        return end - self.case.offset

    def _candidates(self, at: int) -> list[bytes]:
        """Return what the block at `at` may hold; nothing if it cannot be had."""
        item = self.file.extent_at(at)
        assert not isinstance(item, int)
        if item is None:
            return [bytes(BLOCK)]
        if item.type is ExtentType.INLINE:
            data = item.inline_data
            if item.compression is not Compression.NONE:
                data = inflated([data], 0, item.ram_bytes) or b""
            return [data.ljust(BLOCK, b"\0")]
        if not _has_data(item):
            return [bytes(BLOCK)]
        if item.compression is Compression.NONE:
            return plain_block(self.file, item.disk_bytenr + item.offset + at - item.file_offset)
        blocks = stored(self.file, item)
        part = inflated(blocks, at - item.file_offset + item.offset, BLOCK) if blocks else None
        return [] if part is None else [part]

    def _places(self, at: int) -> tuple[int, list[BioRange]]:
        """Return which copy of a block is read first, and where all are."""
        item = self.file.extent_at(at)
        assert isinstance(item, FileExtent)
        logical = item.disk_bytenr + item.offset + at - item.file_offset
        chunk = self.file.chunk_at(logical)
        places = [BioRange(devid, physical, BLOCK) for devid, physical in copies(chunk, logical)]
        present = [place.devid in self.file.devices for place in places]
        first = choice(chunk, present, self.case.pid)
        if first is None:
            # None is there; the read fails at the one that would have been the choice.
            first = choice(chunk, [True] * len(places), self.case.pid)
        assert first is not None
        return first, places

    def _bios(self, direct: list[int]) -> str:
        """Put bios together from blocks: a mapping, or a stripe, or the limit ends one."""
        due: list[BioRange] = []
        mapped = 0
        for at in direct:
            item = self.file.extent_at(at)
            assert isinstance(item, FileExtent)
            logical = item.disk_bytenr + item.offset + at - item.file_offset
            chunk = self.file.chunk_at(logical)
            first, places = self._places(at)
            place = places[first]
            begins = at in (self.case.offset, item.file_offset) or mapped == self.behaviour.read_limit
            mapped = 1 if begins else mapped + 1
            stripe = chunk.type in _STRIPED and row_end(chunk, logical - BLOCK) == logical
            if begins or stripe:
                due.append(place)
            else:
                due[-1] = due[-1]._replace(length=due[-1].length + BLOCK)
        return "" if self.told.bios == due else f"sends {self.told.bios}, {due} is due"

    def _repairs(self, direct: list[int]) -> str:
        retried: list[BioRange] = []
        repaired: list[BioRange] = []
        corrupt: Counter[int] = Counter()
        for at in direct:
            first, places = self._places(at)
            item = self.file.extent_at(at)
            assert isinstance(item, FileExtent)
            csum = self.file.csum_at(item.disk_bytenr + item.offset + at - item.file_offset)
            order = [first, *self._following(first, len(places))]
            good = [self._is_good(places[index], csum) for index in order]
            tried = good.index(True) if True in good else len(order) - 1
            retried += [places[index] for index in order[1 : tried + 1]]
            failed = [places[index] for index, its in zip(order[: tried + 1], good, strict=False) if not its]
            corrupt.update(place.devid for place in failed if self._is_readable(place))
            if good[tried]:
                bad = order[:tried] if self.behaviour.repairs_all else order[max(0, tried - 1) : tried]
                repaired += [places[index] for index in bad]
        retried, repaired = (
            [place for place in places if place.devid in self.file.devices] for places in (retried, repaired)
        )
        if self.told.retried != retried:
            return f"reads again {self.told.retried}, {retried} is due"
        if sorted(self.told.repaired) != sorted(repaired):
            return f"repairs {self.told.repaired}, {repaired} is due"
        errs = self.told.corruption_errs
        return "" if errs == corrupt else f"counts {errs} bad checksums, {dict(corrupt)} is due"

    def _following(self, first: int, number: int) -> list[int]:
        if number == 1:
            return []
        if self.behaviour.repairs_in_ring:
            return [(first + step) % number for step in range(1, number)]
        return list(range(1 if first == 0 else 0, number))

    def _is_readable(self, place: BioRange) -> bool:
        device = self.file.devices.get(place.devid)
        return device is not None and device.read(place.physical, BLOCK) is not None

    def _is_good(self, place: BioRange, csum: int | None) -> bool:
        device = self.file.devices.get(place.devid)
        data = device.read(place.physical, BLOCK) if device else None
        return data is not None and (self.case.nodatasum or self.file.csum_of(data) == csum)

    def _data(self, ways: dict[int, How]) -> str:
        """Compare memory, as far as the result goes; what is direct also behind the end of the file."""
        if self.told.result < 0:
            return ""
        for at, way in ways.items():
            candidates = self._candidates(at)
            start = max(at, self.case.offset)
            if way is How.BUFFERED and start >= self.case.offset + self.told.result:
                continue
            held = self.told.contents.get(start, b"")
            if not held or not any(data[start - at :].startswith(held) for data in candidates):
                return f"memory of file offset {start} is wrong"
        extra = [at for at in self.told.contents if at - at % BLOCK not in ways]
        return f"memory of file offset {extra[0]} is touched" if extra else ""


def _has_data(item: FileExtent) -> bool:
    return item.type is ExtentType.REG and bool(item.disk_bytenr)
