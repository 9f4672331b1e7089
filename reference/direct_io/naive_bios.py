# SPDX-License-Identifier: GPL-2.0-or-later
"""What has to be read of devices when all is well: each byte once, from the copy of choice.

How that is cut into bios is not said: memory and devices decide it.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from reference.direct_io.naive_map import copies, row_end
from reference.direct_io.source import SINGLE, Compression, ExtentType, FileExtent
from reference.direct_io.synthetic import BLOCK, SECTOR, Case, SyntheticFile
from reference.ondisk import BlockGroupFlag, Chunk

__all__ = ["choice", "joined", "ranges"]

Range = tuple[int, int, int]
"""devid, physical address, length."""


def ranges(case: Case, file: SyntheticFile) -> list[Range] | None:
    """Return what is to be read, in order and joined; None where anything may have to be read again."""
    if case.faults or case.allocations or case.unmapped or case.ordered_error or file.unreadable:
        return None
    if any(disk.logical_block_size != SECTOR for disk in case.disks) or _overlaps(case):
        return None
    total = sum(iov.iov_len for iov in case.iov)
    end = min(file.i_size, case.offset + (total if case.ki_left is None else min(total, case.ki_left)))
    position, found = case.offset, []
    while position < end:
        item = file.extent_at(position)
        if item is None or isinstance(item, int):
            return None
        last = min(end, -(-item.end // BLOCK) * BLOCK)
        part = _of(file, item, position, last, case.pid)
        if part is None:
            return None
        found += part
        position = last
    return joined(sorted(found))


def joined(found: Iterable[Range]) -> list[Range]:
    """Join what follows each other without a gap; what is there twice stays twice."""
    result: list[Range] = []
    for devid, physical, length in found:
        if result and (result[-1][0], result[-1][1] + result[-1][2]) == (devid, physical):
            result[-1] = (devid, result[-1][1], result[-1][2] + length)
        else:
            result.append((devid, physical, length))
    return result


def _overlaps(case: Case) -> bool:
    parts = sorted((base, base + length) for base, length in case.iov if length)
    return any(first[1] > second[0] for first, second in pairwise(parts))


def _of(file: SyntheticFile, item: FileExtent, start: int, last: int, pid: int) -> list[Range] | None:
    if item.type is not ExtentType.REG or not item.disk_bytenr:
        return []
    if item.compression is not Compression.NONE:
        return _on_devices(file, item.disk_bytenr, item.disk_bytenr + item.disk_num_bytes, pid)
    unit = SECTOR if file.nodatasum else BLOCK
    disk = item.disk_bytenr + item.offset - item.file_offset
    return _on_devices(file, start // unit * unit + disk, -(-last // unit) * unit + disk, pid)


def _on_devices(file: SyntheticFile, start: int, end: int, pid: int) -> list[Range] | None:
    found = []
    while start < end:
        chunk = file.chunk_at(start)
        stop = min(end, row_end(chunk, start))
        places = copies(chunk, start)
        first = choice(chunk, [devid in file.devices for devid, _ in places], pid)
        if first is None:
            return None
        devid, physical = places[first]
        found.append((devid, physical, stop - start))
        start = stop
    return found


def choice(chunk: Chunk, present: list[bool], pid: int) -> int | None:
    """Return which copy is read: that of the reader's pid, else the first that is there; of DUP the first."""
    if not any(present):
        return None
    if chunk.type in (SINGLE, BlockGroupFlag.DUP, BlockGroupFlag.RAID0):
        return 0
    optimal = pid % len(present)
    return optimal if present[optimal] else present.index(True)
