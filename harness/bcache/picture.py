# SPDX-License-Identifier: GPL-2.0-or-later
"""Which parts of the backing devices are cached: as lines of text, and as numbers for a report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from reference.bcache.bkey import Bkey

__all__ = ["LEGEND", "DeviceMap", "device_maps", "drawn"]

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
    cells: tuple[tuple[int, int], ...]
    """Of each character how many sectors are cached, and how many of those are dirty."""


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


def drawn(title: str, live: Iterable[Bkey], rows: int = 8) -> list[dict[str, Any]]:
    """Return the maps of all devices as a verdict keeps them, for reports to draw (`CaseVerdict.cache_maps`).

    >>> from reference.bcache.bkey import key
    >>> [found] = drawn("at the end", [key(0, 512, 512), key(0, 520, 8, dirty=True)], rows=1)
    >>> found["title"], found["device"], found["columns"], found["sectors_each"], found["cells"][-2:]
    ('at the end', 0, 64, 9, [[9, 1], [7, 7]])
    """
    return [
        {
            "title": title,
            "device": found.inode,
            "columns": COLUMNS,
            "sectors_each": found.sectors_each,
            "cells": [list(cell) for cell in found.cells],
        }
        for found in device_maps(live, rows)
    ]


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
    counts = tuple(zip(cached, dirty, strict=True))
    return DeviceMap(inode, len(extents), sum(cached), sum(dirty), end, lines, each, counts)


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
