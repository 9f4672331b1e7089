# SPDX-License-Identifier: GPL-2.0-or-later
"""What a direct read of the RFC's design has to return, in the simplest way that is right.

Nothing of the model is used: no bios, no control blocks, no order. Extent by extent it asks which bytes can
be had (`naive_data`), and where the user's memory or a device's alignment ends the read. Where the design
leaves a choice (which copy without checksums; how much of a block counts whose memory is missing), all are
allowed.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass, field

from reference.direct_io.naive_data import UNCERTAIN, Contents, inflated, plain_block, stored
from reference.direct_io.naive_map import copies, row_end
from reference.direct_io.source import Compression, ExtentType, FileExtent
from reference.direct_io.synthetic import BLOCK, SECTOR, Case, SyntheticFile
from reference.ondisk import Chunk

__all__ = ["Expected", "Stop", "expect", "segments"]


@dataclass(frozen=True)
class Stop:
    """Where a read ends too early, and the errors of which one is returned if nothing was read."""

    at: int
    errors: frozenset[int]


@dataclass
class Expected:
    """What may come of a read."""

    returns: set[int] = field(default_factory=set)
    """Bytes, or -errno."""
    contents: Contents = field(default_factory=dict)
    """By file offset of a sector: what it may hold."""
    end: int = 0
    """File offset behind the last byte that anybody may write to memory."""
    any_prefix: bool = False
    """Whether the read may end anywhere, also with -ENOMEM: an allocation fails."""


def expect(case: Case, file: SyntheticFile) -> Expected:
    """Return what may come of the read of `case`."""
    total = sum(iov.iov_len for iov in case.iov)
    if case.offset % SECTOR or any(iov.iov_len and iov.iov_base % SECTOR for iov in case.iov):
        return Expected({-errno.EINVAL})
    if any(iov.iov_len % SECTOR for iov in case.iov):
        return Expected({-errno.EINVAL})
    wanted = total if case.ki_left is None else min(total, case.ki_left)
    end = min(case.offset + wanted, file.i_size)
    if end <= case.offset:
        return Expected({0}, any_prefix=bool(case.allocations))
    if case.ordered_error:
        return Expected({case.ordered_error}, any_prefix=bool(case.allocations))
    expected = Expected(end=end, any_prefix=bool(case.allocations))
    reader = _Reader(case, file, end, expected.contents)
    expected.returns = {
        stop.at - case.offset if stop.at > case.offset else error
        for stop in reader.stops()
        for error in stop.errors or {0}
    }
    return expected


def segments(case: Case, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield file offset, address and length of each part of a vector that the range goes to."""
    position = case.offset
    for base, length in case.iov:
        first, last = max(start, position), min(end, position + length)
        if first < last:
            yield first, base + first - position, last - first
        position += length


class _Reader:
    def __init__(self, case: Case, file: SyntheticFile, end: int, contents: Contents) -> None:
        self.case = case
        self.file = file
        self.end = end
        self.contents = contents
        self.unmapped = set(case.unmapped)

    def stops(self) -> list[Stop]:
        """Return where the read may end."""
        position = self.case.offset
        found: list[Stop] = []
        while position < self.end:
            item = self.file.extent_at(position)
            if item is None or isinstance(item, int):
                return [*found, Stop(position, frozenset({-errno.EIO}))]
            behind = -(-item.end // BLOCK) * BLOCK
            last = min(self.end, behind)
            stops = self._extent(item, position, last)
            if stops and not any(stop.at == last and not stop.errors for stop in stops):
                return [*found, *stops]
            found += [stop for stop in stops if stop.errors]
            position = last
        return [*found, Stop(self.end, frozenset())]

    def _extent(self, item: FileExtent, start: int, last: int) -> list[Stop]:
        """Return where the read may end in this extent; nothing if it goes on behind it."""
        if item.type is ExtentType.INLINE:
            return self._inline(item, start, last)
        if item.type is ExtentType.PREALLOC or not item.disk_bytenr:
            return self._zeroes(start, last)
        if item.compression is not Compression.NONE:
            return self._compressed(item, start, last)
        return _Plain(self, item, start, last).stops()

    def put(self, start: int, data: bytes) -> None:
        """Say what the range from `start` on, a sector's beginning, holds."""
        for at in range(0, len(data), SECTOR):
            self.contents.setdefault(start + at, []).append(data[at : at + SECTOR])

    def first_unmapped(self, start: int, last: int) -> int | None:
        """Return the first file offset whose memory is not there."""
        if not self.unmapped:
            return None
        for position, address, length in segments(self.case, start, last):
            for page in range(address // BLOCK, (address + length - 1) // BLOCK + 1):
                if page in self.unmapped:
                    return position + max(0, page * BLOCK - address)
        return None

    def _zeroes(self, start: int, last: int) -> list[Stop]:
        self.put(start, bytes(last - start))
        fault = self.first_unmapped(start, last)
        return [] if fault is None else [Stop(fault, frozenset({-errno.EFAULT}))]

    def _inline(self, item: FileExtent, start: int, last: int) -> list[Stop]:
        """Plain data are copied page by page, compressed ones all or nothing; zeroes follow."""
        inside = min(last, max(start, item.file_offset + item.ram_bytes))
        begin, length = start - item.file_offset, inside - start
        if item.compression is Compression.NONE or not length:
            plain = item.inline_data[begin : begin + length] if length else b""
            self.put(start, plain + bytes(last - inside))
            fault = self.first_unmapped(start, last)
            return [] if fault is None else [Stop(fault, frozenset({-errno.EFAULT}))]
        data = inflated([item.inline_data], begin, length)
        errors = {-errno.EIO} if data is None else set()
        if self.first_unmapped(start, inside) is not None:
            errors.add(-errno.EFAULT)
        if errors or data is None:
            return [Stop(start, frozenset(errors))]
        self.put(start, data + bytes(last - inside))
        fault = self.first_unmapped(inside, last)
        return [] if fault is None else [Stop(fault, frozenset({-errno.EFAULT}))]

    def _compressed(self, item: FileExtent, start: int, last: int) -> list[Stop]:
        """All blocks of the extent are needed, and all of what is wanted must fit in memory."""
        blocks = stored(self.file, item)
        if blocks is None:
            return [Stop(start, frozenset({-errno.EIO}))]
        unmapped = self.first_unmapped(start, last) is not None
        errors = {-errno.EFAULT} if unmapped else set()
        if blocks == UNCERTAIN:
            self.contents.update({at: [] for at in range(start, last, SECTOR)})
            whole = [] if unmapped else [Stop(last, frozenset())]
            return [Stop(start, frozenset({-errno.EIO, *errors})), *whole]
        data = inflated(blocks, start - item.file_offset + item.offset, last - start)
        if data is None or unmapped:
            return [Stop(start, frozenset(errors | ({-errno.EIO} if data is None else set())))]
        self.put(start, data)
        return []


class _Plain:
    """A part of a plain extent."""

    def __init__(self, reader: _Reader, item: FileExtent, start: int, last: int) -> None:
        self.reader = reader
        self.file = reader.file
        self.item = item
        self.start = start
        self.last = last
        self.summed = not reader.file.nodatasum
        self.disk = item.disk_bytenr + item.offset - item.file_offset
        """What makes a logical address of a file offset."""
        tail = last % SECTOR if last == reader.end else 0
        self.direct_end = last - tail
        """Where what devices transfer to the user's memory ends."""

    def stops(self) -> list[Stop]:
        submitted = self._submit_stop()
        last = submitted.at if submitted else self.last
        bad = self._bad_block(last)
        if self._csums_unreadable(last):
            behind = bad.at if bad else last
            positions = {self.start, *range(self.start - self.start % BLOCK + BLOCK, behind + 1, BLOCK)}
            errors = {-errno.EIO, *(submitted.errors if submitted else ())}
            return [Stop(position, frozenset(errors)) for position in sorted(positions)]
        whole = max(self.start, last - last % BLOCK) if submitted and self.summed else last
        if bad is not None and bad.at < whole:
            return [bad]
        if submitted is None:
            return self._tail_stop()
        if not self.summed:
            return [submitted]
        return self._in_block(submitted)

    def _in_block(self, submitted: Stop) -> list[Stop]:
        """With checksums, what was read of a block that cannot be submitted whole does not count.

        But the end of a block that a control block ends with is copied like a file's tail, byte by byte.
        """
        floor = max(self.start, submitted.at // BLOCK * BLOCK)
        also = self._bad_block(min(self.last, floor + BLOCK - floor % BLOCK))
        errors = submitted.errors
        if also is not None and also.at <= floor:
            return [Stop(floor, errors | also.errors)]
        stops = [Stop(floor, errors)]
        if errors == {-errno.EFAULT} and submitted.at > floor:
            stops.append(submitted)
        return stops

    def _submit_stop(self) -> Stop | None:
        """Return where no bio can be built: no device can be asked for that part, or memory is not there."""
        floor = self.start % BLOCK
        if self.summed and floor:
            error = self._refusal(self.start - floor, floor, user=False)
            if error:
                return Stop(self.start, frozenset({error}))
        position = self.start
        while position < self.direct_end:
            chunk = self._chunk(position)
            end = min(self.direct_end, row_end(chunk, position + self.disk) - self.disk)
            error = self._refusal(position, end - position, user=True)
            if error:
                return Stop(position, frozenset({error}))
            fault = self.reader.first_unmapped(position, end)
            if fault is not None:
                return Stop(fault, frozenset({-errno.EFAULT}))
            position = end
        behind = self._behind()
        error = self._refusal(self.direct_end, behind, user=False) if behind else 0
        return Stop(self.direct_end, frozenset({error})) if error else None

    def _behind(self) -> int:
        """Return how much is read behind the last byte that goes to the user directly."""
        if self.summed:
            return -self.direct_end % BLOCK
        return -(-(self.last - self.direct_end) // SECTOR) * SECTOR

    def _refusal(self, position: int, length: int, *, user: bool) -> int:
        """Return the error if no device can be asked for this part of one stripe; 0 if one can."""
        places = copies(self._chunk(position), position + self.disk)
        disks = [(self.file.devices[devid], at) for devid, at in places if devid in self.file.devices]
        if not disks:
            return -errno.EIO
        for disk, physical in disks:
            size = disk.logical_block_size
            if physical % size or length % size:
                continue
            if not user or self._memory_fits(position, length, size):
                return 0
        return -errno.ENOTBLK

    def _memory_fits(self, position: int, length: int, size: int) -> bool:
        parts = list(segments(self.reader.case, position, position + length))
        begins = all(address % size == 0 for _, address, _ in parts)
        return begins and all(part % size == 0 for _, _, part in parts[:-1])

    def _chunk(self, position: int) -> Chunk:
        return self.file.chunk_at(position + self.disk)

    def _bad_block(self, last: int) -> Stop | None:
        """Return the first block before `last` without a good copy, and take down what the others hold."""
        for position in range(self.start - self.start % BLOCK, last, BLOCK):
            found = plain_block(self.file, position + self.disk)
            if not found:
                return Stop(max(self.start, position), frozenset({-errno.EIO}))
            first, end = max(position, self.start), min(position + BLOCK, self.last)
            for at in range(first, end, SECTOR):
                sector = slice(at - position, min(at + SECTOR, end) - position)
                self.reader.contents[at] = [data[sector] for data in found]
        return None

    def _csums_unreadable(self, last: int) -> bool:
        """Return whether checksums of blocks before `last` cannot be looked up.

        Many are looked up at a time, so blocks in front of these may fail as well.
        """
        blocks = range(self.start - self.start % BLOCK, last, BLOCK)
        csums = (self.file.csum_at(position + self.disk) for position in blocks)
        return self.summed and any(csum is not None and csum < 0 for csum in csums)

    def _tail_stop(self) -> list[Stop]:
        fault = self.reader.first_unmapped(self.direct_end, self.last)
        return [] if fault is None else [Stop(fault, frozenset({-errno.EFAULT}))]
