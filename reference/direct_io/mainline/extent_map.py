# SPDX-License-Identifier: GPL-2.0-or-later
"""The cache of extent maps of an inode (fs/btrfs/extent_map.c, and `btrfs_get_extent`, fs/btrfs/inode.c)."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from enum import Enum

from reference.direct_io.mainline.file import BLOCK, File, item_end
from reference.direct_io.source import Compression, ExtentType, FileExtent

__all__ = ["ExtentMap", "ExtentMapTree", "MapKind"]


class MapKind(Enum):
    """What stands in `disk_bytenr` of a map, with EXTENT_FLAG_PREALLOC."""

    HOLE = 0
    INLINE = 1
    REG = 2
    PREALLOC = 3


@dataclass(slots=True)
class ExtentMap:
    """`struct extent_map`."""

    start: int
    len: int
    kind: MapKind
    disk_bytenr: int = 0
    offset: int = 0
    item: FileExtent | None = None
    """What it was made of, for those that are never merged: compressed and inline ones."""
    merged: bool = False
    """EXTENT_FLAG_MERGED."""

    @property
    def end(self) -> int:
        """`extent_map_end`."""
        return self.start + self.len

    @property
    def compressed(self) -> bool:
        """`btrfs_extent_map_is_compressed`."""
        return self.item is not None and self.kind is not MapKind.INLINE

    @property
    def block_start(self) -> int:
        """Logical address of its first byte; of compressed ones, of the extent (`extent_map_block_start`)."""
        return self.disk_bytenr + (0 if self.compressed else self.offset)

    @property
    def has_blocks(self) -> bool:
        """Whether it stands for room on devices."""
        return self.kind in (MapKind.REG, MapKind.PREALLOC)


class ExtentMapTree:
    """`struct extent_map_tree`: maps that do not overlap, by offset."""

    def __init__(self, file: File, *, merges_merged: bool = True) -> None:
        self._file = file
        self._merges_merged = merges_merged
        self._maps: list[ExtentMap] = []

    def btrfs_get_extent(self, start: int, length: int) -> ExtentMap:
        """Return the map that has `start`, from the cache or from the items.

        `length` is how much the caller wants: a hole that no item ends is made as long as that.
        """
        found = self.lookup(start)
        if found is not None:
            return found
        return self._add(self._of_items(start, length), start)

    def lookup(self, start: int) -> ExtentMap | None:
        """Return the map that has `start` (`btrfs_lookup_extent_mapping`)."""
        place = self._place(start)
        if place < 0:
            return None
        found = self._maps[place]
        return found if start < found.end else None

    def release(self, start: int) -> None:
        """Take out the map that begins at `start`: that page is let go of (`try_release_extent_mapping`)."""
        place = self._place(start)
        if place >= 0 and self._maps[place].start == start:
            del self._maps[place]

    def _of_items(self, start: int, length: int) -> ExtentMap:
        items = self._file.items
        number = self._file.item_before(start)
        if number >= 0 and start < item_end(items[number]):
            return _of_item(items[number])
        if number + 1 < len(items) and start + length > items[number + 1].file_offset:
            length = items[number + 1].file_offset - start
        return ExtentMap(start, length, MapKind.HOLE)

    def _add(self, new: ExtentMap, start: int) -> ExtentMap:
        """Add a map, cut to what is free around `start` (`btrfs_add_extent_mapping`)."""
        place = self._place(start)
        begin = max(new.start, self._maps[place].end) if place >= 0 else new.start
        end = min(new.end, self._maps[place + 1].start) if place + 1 < len(self._maps) else new.end
        new.offset += begin - new.start if new.has_blocks else 0
        new.start, new.len = begin, end - begin
        self._maps.insert(place + 1, new)
        self._try_merge_map(place + 1)
        found = self.lookup(start)
        assert found is not None
        return found

    def _try_merge_map(self, place: int) -> None:
        if place and self._mergeable(self._maps[place - 1], self._maps[place]):
            place -= 1
            self._merge_next(place)
        if place + 1 < len(self._maps) and self._mergeable(self._maps[place], self._maps[place + 1]):
            self._merge_next(place)

    def _merge_next(self, place: int) -> None:
        one, behind = self._maps[place], self._maps.pop(place + 1)
        one.len += behind.len
        one.merged = True

    def _mergeable(self, one: ExtentMap, behind: ExtentMap) -> bool:
        """`can_merge_extent_map`, `mergeable_maps`."""
        if one.end != behind.start or one.kind is not behind.kind or one.item or behind.item:
            return False
        if one.merged is not behind.merged and not self._merges_merged:
            return False
        return not one.has_blocks or one.block_start + one.len == behind.block_start

    def _place(self, start: int) -> int:
        return bisect_right(self._maps, start, key=lambda one: one.start) - 1

    def validate(self) -> None:
        """Raise ValueError if maps overlap, are empty, or could be merged."""
        for one, behind in zip(self._maps, self._maps[1:], strict=False):
            if one.end > behind.start:
                raise ValueError(f"the map at {one.start} reaches into that at {behind.start}")
            if self._merges_merged and self._mergeable(one, behind):
                raise ValueError(f"the maps at {one.start} and {behind.start} were not merged")
        if bad := [one.start for one in self._maps if one.len <= 0]:
            raise ValueError(f"the map at {bad[0]} is empty")


def _of_item(item: FileExtent) -> ExtentMap:
    """`btrfs_extent_item_to_extent_map`."""
    if item.type is ExtentType.INLINE:
        return ExtentMap(0, BLOCK, MapKind.INLINE, item=item)
    if not item.disk_bytenr:
        return ExtentMap(item.file_offset, item.num_bytes, MapKind.HOLE)
    kind = MapKind.PREALLOC if item.type is ExtentType.PREALLOC else MapKind.REG
    whole = item if item.compression is not Compression.NONE else None
    return ExtentMap(item.file_offset, item.num_bytes, kind, item.disk_bytenr, item.offset, whole)
