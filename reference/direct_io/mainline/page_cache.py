# SPDX-License-Identifier: GPL-2.0-or-later
"""A read through the page cache of a file that is said to be read at random.

From mm/readahead.c, fs/btrfs/extent_io.c and compression.c. POSIX_FADV_RANDOM is what makes it known which
pages are read: those that are asked for, and the rest of a compressed extent.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator

from reference.direct_io.mainline.bios import BioKind
from reference.direct_io.mainline.extent_map import ExtentMap, ExtentMapTree, MapKind
from reference.direct_io.mainline.file import BLOCK, Contents, File, block_end
from reference.direct_io.source import ExtentType, FileExtent

__all__ = ["LogicalBio", "PageCache"]

CHUNK_PAGES = (2 << 20) // BLOCK
"""`force_page_cache_ra` reads ahead so much at a time."""
MAX_RA_PAGES = (4 << 20) // BLOCK
"""And at most so much at once: `ra_pages` of the file system (`open_ctree`, below 33 devices)."""
MISSED_SECTORS = 4
"""`add_ra_bio_pages` gives up when it has met more pages that are there."""

LogicalBio = tuple[BioKind, int, int]
"""What a bio is for, its logical address, its length."""


class PageCache:
    """The pages of one file."""

    def __init__(self, file: File, maps: ExtentMapTree) -> None:
        self._file = file
        self._maps = maps
        self._pages: set[int] = set()
        self.added: list[int] = []
        """Indices of pages in the order in which they were added, since this was last emptied."""

    def drop(self, start: int = 0, end: int | None = None) -> None:
        """Let go of pages (POSIX_FADV_DONTNEED), and with each of the map that begins with it."""
        last = end if end is not None else block_end(self._file.i_size)
        for page in sorted(self._pages & set(range(start // BLOCK, last // BLOCK))):
            self._maps.release(page * BLOCK)
            self._pages.remove(page)

    def assume(self, pages: Iterable[int]) -> None:
        """Have these pages and no others: what others did is told from outside."""
        self._pages = set(pages)

    def fill(self, start: int, end: int) -> Iterator[LogicalBio]:
        """Have all pages of the range that the file has, and yield the bios for it (`filemap_get_pages`)."""
        last = block_end(end) // BLOCK
        for index in range(start // BLOCK, min(last, block_end(self._file.i_size) // BLOCK)):
            if index not in self._pages:
                yield from self._force_page_cache_ra(index, last)

    def _force_page_cache_ra(self, index: int, last: int) -> Iterator[LogicalBio]:
        """Read in chunks; each begins where the one before, made longer perhaps, has ended."""
        end = block_end(self._file.i_size) // BLOCK
        left = min(last - index, MAX_RA_PAGES)
        while left > 0 and index < end:
            chunk = min(CHUNK_PAGES, left)
            index = yield from self._page_cache_ra_unbounded(index, min(index + chunk, end))
            left -= chunk

    def _page_cache_ra_unbounded(self, index: int, last: int) -> Generator[LogicalBio, None, int]:
        """Read pages that are not there; return which comes next."""
        batch: list[int] = []
        while index < last:
            if index in self._pages:
                index = 1 + max(index - 1, (yield from self._btrfs_readahead(batch)))
                batch = []
            else:
                self._add(index)
                batch.append(index)
            index += 1
        return 1 + max(last - 1, (yield from self._btrfs_readahead(batch)))

    def _btrfs_readahead(self, batch: list[int]) -> Generator[LogicalBio, None, int]:
        """Gather pages that lie one behind the other into bios (`btrfs_do_readpage`); return the last page.

        The batch is made longer, up to the end of a compressed extent.
        """
        control = _BioControl()
        for page in batch:
            found = self._maps.btrfs_get_extent(page * BLOCK, BLOCK)
            if found.compressed:
                self._readahead_expand(batch, found.end)
            if found.kind is MapKind.REG:
                if not control.takes(found, page * BLOCK):
                    yield from self._submit_one_bio(control)
                control.add(found, page * BLOCK)
        yield from self._submit_one_bio(control)
        return batch[-1] if batch else -1

    def _readahead_expand(self, batch: list[int], end: int) -> None:
        """Add pages to a batch, up to the first that is there."""
        for page in range(batch[-1] + 1, end // BLOCK):
            if page in self._pages:
                return
            self._add(page)
            batch.append(page)

    def _submit_one_bio(self, control: _BioControl) -> Iterator[LogicalBio]:
        begun, length, control.length = control.map, control.length, 0
        if begun is None or not length:
            return
        if begun.compressed:
            assert begun.item is not None
            self._add_ra_bio_pages(control.file_offset + length, begun.end)
            yield BioKind.COMPRESSED, begun.block_start, begun.item.disk_num_bytes
        else:
            yield BioKind.BUFFERED, control.logical, length

    def _add_ra_bio_pages(self, start: int, end: int) -> None:
        """Add the pages that an inflated extent fills besides those of the bio, where they are missing."""
        missed = 0
        for index in range(start // BLOCK, min(end, block_end(self._file.i_size)) // BLOCK):
            if index not in self._pages:
                self._add(index)
                continue
            missed += 1
            if missed > MISSED_SECTORS:
                return

    def _add(self, index: int) -> None:
        self._pages.add(index)
        self.added.append(index)


class _BioControl:
    """`struct btrfs_bio_ctrl`: the bio that is being filled."""

    def __init__(self) -> None:
        self.map: ExtentMap | None = None
        self.file_offset = 0
        self.logical = 0
        self.length = 0

    def takes(self, found: ExtentMap, offset: int) -> bool:
        """Whether a page can be added (`btrfs_bio_is_contig`, and the rules for compressed extents)."""
        if not self.length or self.map is None:
            return True
        if found.compressed or self.map.compressed:
            return found is self.map
        contiguous = self.logical + self.length == found.block_start + offset - found.start
        return contiguous and self.file_offset + self.length == offset

    def add(self, found: ExtentMap, offset: int) -> None:
        if not self.length:
            self.file_offset = offset
            self.logical = found.block_start + offset - found.start
        self.map = found
        self.length += BLOCK


def page_data(file: File, contents: Contents, start: int, end: int) -> Iterator[memoryview | int]:
    """Yield what the page cache has of a range before the file's end: bytes, or how many zeros."""
    while start < end:
        number = file.item_before(start)
        item = file.items[number] if number >= 0 else None
        behind = file.items[number + 1].file_offset if number + 1 < len(file.items) else end
        if item is None or start >= item.end:
            part = min(end, behind) - start
            yield part
        else:
            part = min(end, item.end) - start
            yield _item_data(item, contents, start - item.file_offset, part)
        start += part


def _item_data(item: FileExtent, contents: Contents, inside: int, length: int) -> memoryview | int:
    if item.type is ExtentType.PREALLOC or (item.type is ExtentType.REG and not item.disk_bytenr):
        return length
    if item.compression or item.type is ExtentType.INLINE:
        begin = inside + item.offset
        return contents.inflated(item)[begin : begin + length]
    return contents.raw(item.disk_bytenr + item.offset + inside, length)
