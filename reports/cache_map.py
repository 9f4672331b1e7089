# SPDX-License-Identifier: GPL-2.0-or-later
"""Pictures of what a cache holds of its backing devices: `CaseVerdict.cache_maps`, checked and drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from reports.text import size

__all__ = ["MAX_CELLS", "CacheMap", "cache_map_plot"]

MAX_CELLS = 4096
"""More would make the page large, and nobody could tell them apart."""
CELL, GAP = 9, 1
SECTOR = 512
FAINTEST = 0.25
"""Opacity of a cell with next to nothing in it."""


@dataclass(frozen=True)
class CacheMap:
    """Equal parts of a backing device, and how much of each is cached and dirty, in sectors."""

    title: str
    device: int
    columns: int
    sectors_each: int
    cells: tuple[tuple[int, int], ...]

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> CacheMap:
        """Read an entry of `CaseVerdict.cache_maps`; ValueError, TypeError or KeyError if it is none."""
        cells = tuple((int(cached), int(dirty)) for cached, dirty in data["cells"])
        found = cls(
            str(data["title"]), int(data["device"]), int(data["columns"]), int(data["sectors_each"]), cells
        )
        if not found.columns > 0 or not found.sectors_each > 0 or not 0 < len(cells) <= MAX_CELLS:
            raise ValueError("the map of the cache has no cells, or too many")
        if any(not 0 <= dirty <= cached <= found.sectors_each for cached, dirty in cells):
            raise ValueError("a cell of the map has more in it than there is")
        return found

    @property
    def words(self) -> str:
        """What the picture shows, in a sentence."""
        cached, dirty = (sum(counts) * SECTOR for counts in zip(*self.cells, strict=True))
        each = size(self.sectors_each * SECTOR)
        return (
            f"Device {self.device} {self.title}: {size(cached)} cached, {size(dirty)} of that dirty; "
            f"a square stands for {each}"
        )


def cache_map_plot(found: CacheMap) -> Markup:
    """Return the map as SVG: a square each part, the fuller the stronger, dirty ones in another colour."""
    step = CELL + GAP
    rows = -(-len(found.cells) // found.columns)
    squares = [
        _square(n % found.columns * step, n // found.columns * step, cached, dirty, found.sectors_each)
        for n, (cached, dirty) in enumerate(found.cells)
    ]
    head = Markup('<svg class="map" viewBox="0 0 {} {}" role="img" aria-label="{}">')
    width, height = found.columns * step - GAP, rows * step - GAP
    return Markup("").join([head.format(width, height, found.words), *squares, Markup("</svg>")])


def _square(x: int, y: int, cached: int, dirty: int, most: int) -> Markup:
    kind = "dirty" if dirty else "cached" if cached else "none"
    amount = dirty or cached
    strength = round(FAINTEST + (1 - FAINTEST) * amount / most, 2) if amount else 1
    return Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}" opacity="{}"/>').format(
        kind, x, y, CELL, CELL, strength
    )
