# SPDX-License-Identifier: GPL-2.0-or-later
"""Which parts of the backing devices are cached, as lines of text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from reference.bcache.bkey import Bkey

__all__ = ["LEGEND", "DeviceMap", "device_maps"]

LEGEND = (
    ". nothing cached   - some of it   = most of it   # all of it   d some of it dirty   D all of it dirty"
)
COLUMNS = 64
MOST = 0.5


@dataclass(frozen=True)
class DeviceMap:
    """What is cached of one backing device, all in sectors."""

    inode: int
    extents: int
    cached: int
    dirty: int
    end: int
    """The sector after the last one that is cached: how large the device is, the cache does not know."""
    lines: tuple[str, ...]
    """The picture: each character stands for `sectors_each`."""
    sectors_each: int


def device_maps(live: Iterable[Bkey], rows: int = 8) -> list[DeviceMap]:
    """Return a map of each device that has something in the cache.

    >>> from reference.bcache.bkey import key
    >>> [found] = device_maps([key(0, 64, 64), key(0, 96, 16, dirty=True), key(0, 512, 8)], rows=1)
    >>> found.cached, found.dirty, found.sectors_each
    (88, 16, 8)
    >>> found.lines[0][:16], found.lines[0][-1]
    ('########..DD....', '#')
    """
    devices: dict[int, list[Bkey]] = {}
    for k in live:
        devices.setdefault(k.inode, []).append(k)
    return [_map(inode, extents, rows) for inode, extents in sorted(devices.items())]


def _map(inode: int, extents: list[Bkey], rows: int) -> DeviceMap:
    end = max(k.offset for k in extents)
    each = max(1, -(-end // (COLUMNS * rows)))
    cells = -(-end // each)
    cached, dirty = [0] * cells, [0] * cells
    for k in extents:
        for cell, sectors in _spread(k, each):
            cached[cell] += sectors
            dirty[cell] += sectors * k.dirty
    text = "".join(_character(c, d, each) for c, d in zip(cached, dirty, strict=True))
    lines = tuple(text[start : start + COLUMNS] for start in range(0, len(text), COLUMNS))
    return DeviceMap(inode, len(extents), sum(cached), sum(dirty), end, lines, each)


def _spread(k: Bkey, each: int) -> Iterator[tuple[int, int]]:
    """Yield the cells that an extent reaches into, with its sectors in each."""
    start = k.start
    while start < k.offset:
        cell = start // each
        after = min(k.offset, (cell + 1) * each)
        yield cell, after - start
        start = after


def _character(cached: int, dirty: int, each: int) -> str:
    if dirty:
        return "D" if dirty >= each else "d"
    if not cached:
        return "."
    return "#" if cached >= each else "=" if cached > each * MOST else "-"
