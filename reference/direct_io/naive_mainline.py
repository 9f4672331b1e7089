# SPDX-License-Identifier: GPL-2.0-or-later
"""What is wrong with a prediction of mainline's direct read: block by block, from the rules as they stand.

Nothing of the model is used: each block of the request is looked at by itself, and bios are put together from
blocks.
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import NamedTuple

from reference.direct_io.mainline import Behaviour, Bio, BioKind, How, Outcome
from reference.direct_io.naive import segments
from reference.direct_io.naive_bios import choice
from reference.direct_io.naive_data import inflated, plain_block, stored
from reference.direct_io.naive_map import copies, row_end
from reference.direct_io.source import Compression, ExtentType, FileExtent, IoVec
from reference.direct_io.synthetic import BLOCK, Case, SyntheticFile, build
from reference.direct_io.synthetic_mainline import reader_of
from reference.ondisk import BlockGroupFlag

__all__ = ["as_mainline", "judge"]

_STRIPED = (BlockGroupFlag.RAID0, BlockGroupFlag.RAID10)
_POISON = 0xA5


class _Place(NamedTuple):
    """A block of a device."""

    devid: int
    physical: int


class _Run(NamedTuple):
    """Blocks that one bio reads, by logical address."""

    kind: BioKind
    blocks: list[int]
    packed: bool = False
    """Whether they are of a compressed extent."""


class _Tried(NamedTuple):
    """What comes of looking for a block."""

    places: list[_Place]
    """In the order in which they are tried."""
    good: list[bool]
    """Which of them are."""
    corrupt: list[bool]
    """Which can be read and are not."""


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
    return _Judge(case, file, reader_of(file, behaviour).read(case.request), behaviour).complaint()


@dataclass
class _Judge:
    case: Case
    file: SyntheticFile
    told: Outcome
    behaviour: Behaviour

    def complaint(self) -> str:
        """Compare one thing after another."""
        end = self.case.offset + sum(iov.iov_len for iov in self.case.iov)
        if self.case.offset >= self.file.i_size or end == self.case.offset:
            nothing = not (self.told.returned or self.told.bios or self.told.pages or self.told.writes)
            return "" if nothing else "something is read behind the end"
        ways = self._ways(end)
        due = self._result(ways, min(end, self.file.i_size))
        if self.told.returned != due:
            return f"returns {self.told.returned}, {due} is due"
        parts = [(part.how.value, part.start, part.end) for part in self.told.parts]
        direct = [at for at, way in ways.items() if way is How.DIRECT]
        fails = not self._all_are_had(self._direct(direct))
        if not fails and parts != self._parts(ways, end):
            return f"goes {parts}, {self._parts(ways, end)} is due"
        buffered = [at for at, way in ways.items() if way is How.BUFFERED and not fails]
        runs = [*self._direct(direct), *self._buffered(buffered)]
        inflated = self.behaviour.repairs_inflated
        tried = [run for run in runs if not (inflated and run.packed)]
        packed = self._packed_pages(buffered) if inflated else {}
        # What cannot be had is read again page by page, and what that does is no matter of one rule.
        had = self._all_are_had(tried) and all(any(self._good_extents(item)) for item in packed)
        again = not fails and not had
        repairs = "" if again else self._repairs(tried, packed)
        return self._bios(runs, again) or repairs or self._data(ways)

    def _packed_pages(self, buffered: list[int]) -> dict[FileExtent, int]:
        """Return the compressed extents that are read, and how many pages each fills: all from the first."""
        pages: dict[FileExtent, int] = {}
        for at in buffered:
            item = self.file.extent_at(at)
            if isinstance(item, FileExtent) and _has_data(item) and item.compression is not Compression.NONE:
                end = min(item.end, -(-self.file.i_size // BLOCK) * BLOCK)
                pages.setdefault(item, (end - at) // BLOCK)
        return pages

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
        direct = self._direct([at for at, way in ways.items() if way is How.DIRECT])
        if not self._all_are_had(direct):
            return -errno.EIO
        for at in (at for at, way in ways.items() if way is How.BUFFERED):
            if not self._is_had(at):
                return max(0, at - self.case.offset) or -errno.EIO
        return end - self.case.offset

    def _is_had(self, at: int) -> bool:
        """Whether a page can be read, alone or as part of a compressed extent."""
        runs = self._buffered([at])
        if self.behaviour.repairs_inflated and any(run.packed for run in runs):
            return bool(self._candidates(at)) and any(self._good_extents(self._item(at)))
        return bool(self._candidates(at)) and self._all_are_had(runs)

    def _tried_extents(self, item: FileExtent) -> list[list[_Place]]:
        """Return the blocks of each copy of a compressed extent, in the order of trying.

        At first each block is read where it would be alone; then all of them where the last one was not.
        """
        blocks = range(item.disk_bytenr, item.disk_bytenr + item.disk_num_bytes, BLOCK)
        chosen = [self._places(one) for one in blocks]
        last, places = chosen[-1]
        following = self._following(last, len(places))
        return [
            [of[first] for first, of in chosen],
            *([of[index] for _, of in chosen] for index in following),
        ]

    def _good_extents(self, item: FileExtent) -> list[bool]:
        """Return which of them are good."""
        blocks = range(item.disk_bytenr, item.disk_bytenr + item.disk_num_bytes, BLOCK)
        csums = [self.file.csum_at(one) for one in blocks]
        return [all(map(self._is_good, places, csums)) for places in self._tried_extents(item)]

    def _all_are_had(self, runs: list[_Run]) -> bool:
        return all(any(one.good) for run in runs for one in self._tried(run))

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

    def _item(self, at: int) -> FileExtent:
        item = self.file.extent_at(at)
        assert isinstance(item, FileExtent)
        return item

    def _logical(self, at: int) -> int:
        item = self._item(at)
        return item.disk_bytenr + item.offset + at - item.file_offset

    def _places(self, logical: int) -> tuple[int, list[_Place]]:
        """Return which copy of a block is read first, and where all are."""
        chunk = self.file.chunk_at(logical)
        places = [_Place(devid, physical) for devid, physical in copies(chunk, logical)]
        present = [place.devid in self.file.devices for place in places]
        first = choice(chunk, present, self.case.pid)
        if first is None:
            # None is there; the read fails at the one that would have been the choice.
            first = choice(chunk, [True] * len(places), self.case.pid)
        assert first is not None
        return first, places

    def _direct(self, direct: list[int]) -> list[_Run]:
        """Put bios together from blocks: a mapping or the limit ends one."""
        runs: list[_Run] = []
        kind = BioKind.DIRECT if self.behaviour.direct_is_sync else BioKind.UNFLAGGED
        for at in direct:
            mapping = at in (self.case.offset, self._item(at).file_offset)
            if mapping or len(runs[-1].blocks) == self.behaviour.read_limit:
                runs.append(_Run(kind, []))
            runs[-1].blocks.append(self._logical(at))
        return self._cut(runs)

    def _buffered(self, buffered: list[int]) -> list[_Run]:
        """Put bios together from pages; a compressed extent has its own."""
        runs: list[_Run] = []
        joins = -1
        for at in buffered:
            item = self.file.extent_at(at)
            if not isinstance(item, FileExtent) or not _has_data(item):
                continue
            if item.compression is not Compression.NONE:
                whole = range(item.disk_bytenr, item.disk_bytenr + item.disk_num_bytes, BLOCK)
                if not runs or runs[-1].blocks != [*whole]:
                    runs.append(_Run(BioKind.UNFLAGGED, [*whole], True))
                continue
            plain = bool(runs) and runs[-1].kind is BioKind.BUFFERED
            beside = plain and runs[-1].blocks[-1] + BLOCK == self._logical(at)
            if not beside or (at != joins and not self.behaviour.joins_over_holes):
                runs.append(_Run(BioKind.BUFFERED, []))
            runs[-1].blocks.append(self._logical(at))
            joins = at + BLOCK
        return self._cut(runs)

    def _cut(self, runs: list[_Run]) -> list[_Run]:
        """Cut where a stripe or a chunk ends."""
        cut: list[_Run] = []
        for kind, blocks, packed in runs:
            for number, logical in enumerate(blocks):
                chunk = self.file.chunk_at(logical)
                striped = chunk.type in _STRIPED or (chunk.type and self.behaviour.mirrored_cut)
                if not number or (striped and row_end(chunk, logical - BLOCK) == logical):
                    cut.append(_Run(kind, [], packed))
                cut[-1].blocks.append(logical)
        return cut

    def _bios(self, runs: list[_Run], again: bool) -> str:
        due: list[Bio] = []
        for kind, blocks, _ in runs:
            first, places = self._places(blocks[0])
            if places[first].devid in self.file.devices:
                due.append(Bio(kind, *places[first], len(blocks) * BLOCK))
        told = self.told.bios[: len(due)] if again else self.told.bios
        return "" if told == due else f"sends {self.told.bios}, {due} is due"

    def _tried(self, run: _Run) -> Iterator[_Tried]:
        """Yield what each block of a bio finds; if one cannot be read, none of them is."""
        chosen = map(self._places, run.blocks)
        whole = all(self._is_readable(places[first]) for first, places in chosen)
        for logical in run.blocks:
            first, places = self._places(logical)
            csum = self.file.csum_at(logical)
            order = [places[index] for index in (first, *self._following(first, len(places)))]
            good = [self._is_good(place, csum) for place in order]
            good[0] &= whole
            corrupt = [self._is_readable(place) and not self._is_good(place, csum) for place in order]
            corrupt[0] &= whole
            yield _Tried(order, good, corrupt)

    def _repairs(self, runs: list[_Run], packed: dict[FileExtent, int]) -> str:
        retried: list[_Place] = []
        repaired: list[_Place] = []
        corrupt: Counter[int] = Counter()
        for one in (one for run in runs for one in self._tried(run)):
            tried = one.good.index(True) if True in one.good else len(one.good) - 1
            retried += one.places[1 : tried + 1]
            found = zip(one.places[: tried + 1], one.corrupt, strict=False)
            corrupt.update(place.devid for place, counts in found if counts)
            if one.good[tried]:
                first = 0 if self.behaviour.repairs_all else max(0, tried - 1)
                repaired += one.places[first:tried]
        reads = [Bio(BioKind.REPAIR, *one, BLOCK) for one in retried if one.devid in self.file.devices]
        writes = [Bio(BioKind.REPAIR, *one, BLOCK) for one in repaired if one.devid in self.file.devices]
        for item, pages in packed.items():
            self._inflated(item, pages, reads, writes, corrupt)
        done = self.told.completion
        for what, told, due in (("reads again", done.reads, reads), ("repairs", done.writes, writes)):
            if sorted(told) != sorted(due):
                return f"{what} {told}, {due} is due"
        errs = +done.corruption_errs
        return "" if errs == corrupt else f"counts {dict(errs)} bad checksums, {dict(corrupt)} is due"

    def _inflated(
        self, item: FileExtent, pages: int, reads: list[Bio], writes: list[Bio], corrupt: Counter[int]
    ) -> None:
        """Note what 5.10 does for a bad compressed extent: all that for each page."""
        good = self._good_extents(item)
        if good[0]:
            return
        blocks = range(item.disk_bytenr, item.disk_bytenr + item.disk_num_bytes, BLOCK)
        last, all_of_first = self._places(blocks[-1])[0], self._places(blocks[0])[1]
        copies = self._tried_extents(item)
        tried = good.index(True) if True in good else len(good) - 1
        # Page by page again from the copy that the last block was read from, if there are several pages.
        again = [all_of[1][last] for all_of in map(self._places, blocks)]
        several = pages if pages > 1 and len(all_of_first) > 1 else 0
        csums = [self.file.csum_at(one) for one in blocks]
        rounds = [(copies[0], 1, 0), (again, several, several), *((one, pages, pages) for one in copies[1:])]
        if several and all(map(self._is_good, again, csums)):
            # Only what was read elsewhere was bad, and nobody writes anything.
            tried = 0
        for places, times, sent in rounds[: tried + 2]:
            for run in self._cut([_Run(BioKind.REPAIR, [*blocks], True)]):
                place = places[blocks.index(run.blocks[0])]
                if place.devid in self.file.devices:
                    reads += [Bio(BioKind.REPAIR, *place, len(run.blocks) * BLOCK)] * sent
            bad = not all(map(self._is_good, places, csums))
            if bad and all(map(self._is_readable, places)):
                corrupt[places[-1].devid] += times
        written = again[0] if tried == 1 else copies[tried - 1][0]
        if tried and good[tried] and written.devid in self.file.devices:
            writes += [Bio(BioKind.REPAIR, *written, BLOCK)] * pages

    def _following(self, first: int, number: int) -> list[int]:
        if number == 1:
            return []
        if self.behaviour.repairs_in_ring:
            return [(first + step) % number for step in range(1, number)]
        return list(range(1 if first == 0 else 0, number))

    def _is_readable(self, place: _Place) -> bool:
        device = self.file.devices.get(place.devid)
        return device is not None and device.read(place.physical, BLOCK) is not None

    def _is_good(self, place: _Place, csum: int | None) -> bool:
        device = self.file.devices.get(place.devid)
        data = device.read(place.physical, BLOCK) if device else None
        return data is not None and (self.case.nodatasum or self.file.csum_of(data) == csum)

    def _data(self, ways: dict[int, How]) -> str:
        """Compare memory, as far as the result goes; what is direct also behind the end of the file."""
        if self.told.returned < 0:
            return ""
        memory = _memory(self.told)
        pieces: list[tuple[int, int]] = []
        for at, way in reversed(ways.items()):
            start, stop = max(at, self.case.offset), at + BLOCK
            if way is How.BUFFERED:
                stop = min(stop, self.case.offset + self.told.returned)
            for position, address, length in reversed(list(segments(self.case, start, stop))):
                # What is read later into the same place is what stays.
                if not any(a < address + length and address < a + n for a, n in pieces):
                    held = bytes(memory.get(one, _POISON) for one in range(address, address + length))
                    if not any(data[position - at :].startswith(held) for data in self._candidates(at)):
                        return f"memory of file offset {position} is wrong"
                pieces.append((address, length))
        allowed = {one for address, length in pieces for one in range(address, address + length)}
        extra = sorted(set(memory) - allowed)
        return f"memory at {extra[0]:#x} is touched" if extra else ""


def _memory(told: Outcome) -> dict[int, int]:
    memory: dict[int, int] = {}
    for address, data in told.writes:
        held = bytes(data)
        memory.update(zip(range(address, address + len(held)), held, strict=True))
    return memory


def _has_data(item: FileExtent) -> bool:
    return item.type is ExtentType.REG and bool(item.disk_bytenr)
