# SPDX-License-Identifier: GPL-2.0-or-later
"""A read through the page cache of a file that is said to be read at random.

From mm/readahead.c, fs/btrfs/extent_io.c and compression.c. POSIX_FADV_RANDOM is what makes it known which
pages are read: those that are asked for, and the rest of a compressed extent.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from errno import EIO
from typing import NamedTuple

from reference.direct_io.mainline.behaviour import Behaviour
from reference.direct_io.mainline.bios import BioKind
from reference.direct_io.mainline.extent_map import ExtentMap, ExtentMapTree, MapKind
from reference.direct_io.mainline.file import BLOCK, Contents, File, block_end
from reference.direct_io.source import ExtentType, FileExtent

__all__ = ["LogicalBio", "PageCache", "page_data", "page_of"]

CHUNK_PAGES = (2 << 20) // BLOCK
"""`force_page_cache_ra` reads ahead so much at a time."""
RA_PAGES = (4 << 20) // BLOCK
"""And at most so much at once, `ra_pages` of an open file at first (`open_ctree`, below 33 devices)."""
IO_PAGES = 32
"""But so much in any case as long as there is readahead, `io_pages` of btrfs (`bdi_alloc`)."""
BATCH_PAGES = 31
"""PAGEVEC_SIZE (include/linux/folio_batch.h)."""
MISSED_SECTORS = 4
"""`add_ra_bio_pages` gives up when it has met more pages that are there."""


class LogicalBio(NamedTuple):
    """A bio before it is cut for devices."""

    kind: BioKind
    logical: int
    length: int
    pages: Sequence[int]
    """Indices of the pages that it is for."""
    packed: FileExtent | None = None
    """The compressed extent that it reads."""


class PageCache:
    """The pages of one file."""

    def __init__(self, file: File, maps: ExtentMapTree, behaviour: Behaviour) -> None:
        self._file = file
        self._maps = maps
        self._behaviour = behaviour
        self._pages: set[int] = set()
        self._ra_pages = RA_PAGES
        self.held: dict[int, memoryview | None] = {}
        """What pages have that need not be what was written, by index; None if they could not be read."""
        self.unknown: set[int] = set()
        """Pages that count as read, though nothing was: they have what that memory had before."""
        self.added: list[int] = []
        """Indices of pages in the order in which they were added, since this was last emptied."""

    def drop(self, start: int = 0, end: int | None = None) -> None:
        """Let go of pages (POSIX_FADV_DONTNEED), and with each of the map that begins with it."""
        first, last = start // BLOCK, None if end is None else end // BLOCK
        for page in sorted(page for page in self._pages if page >= first and (last is None or page < last)):
            if self._behaviour.releases_maps:
                self._maps.release(page * BLOCK)
            self._pages.remove(page)
            self.held.pop(page, None)
            self.unknown.discard(page)

    def assume(self, pages: Iterable[int]) -> None:
        """Have these pages and no others: what others did is told from outside."""
        self._pages = set(pages)
        for page in self.held.keys() - self._pages:
            del self.held[page]

    def has(self, index: int) -> bool:
        """Whether a page is there, read or not."""
        return index in self._pages

    def is_bad(self, index: int) -> bool:
        """Whether a page is there that could not be read (`!folio_test_uptodate`)."""
        return index in self.held and self.held[index] is None

    def filemap_get_read_batch(self, index: int, last: int) -> range:
        """Return pages that are there, up to the first that could not be read."""
        for page in range(index, min(last, index + BATCH_PAGES)):
            if page not in self._pages:
                return range(index, page)
            if self.is_bad(page):
                return range(index, page + 1)
        return range(index, min(last, index + BATCH_PAGES))

    def data(self, contents: Contents, start: int, end: int) -> Iterator[memoryview | int]:
        """Yield what pages that are there have of a range before the file's end (`page_data`)."""
        if not self.held:
            yield from page_data(self._file, contents, start, end)
            return
        while start < end:
            stop = min(end, block_end(start + 1))
            held = self.held.get(start // BLOCK)
            if held is None:
                yield from page_data(self._file, contents, start, stop)
            else:
                yield held[start % BLOCK :][: stop - start]
            start = stop

    def force_page_cache_ra(self, index: int, last: int) -> Iterator[LogicalBio]:
        """Read in chunks; each begins where the one before, made longer perhaps, has ended.

        A page at a time if there is no readahead any more (`page_cache_sync_ra`).
        """
        end = block_end(self._file.i_size) // BLOCK
        left = min(last - index, max(IO_PAGES, self._ra_pages) if self._ra_pages else 1)
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

    def shrink_readahead_size_eio(self) -> None:
        """A page could not be read: read less ahead from now on (mm/filemap.c)."""
        self._ra_pages //= 4

    def add_behind_eof(self) -> None:
        """Add the page behind the file's last (`no_cached_page` in `generic_file_buffered_read`)."""
        index = self._file.i_size // BLOCK
        if index not in self._pages:
            self._add(index)

    def btrfs_read_folio(self, index: int) -> Iterator[LogicalBio]:
        """Read one page again, without which pages are added; yield the bios."""
        del self.held[index]
        control = _BioControl(joins_over_holes=False)
        found = self._maps.btrfs_get_extent(index * BLOCK, BLOCK)
        if found.kind is MapKind.REG:
            control.add(found, index * BLOCK)
        for bio in self._submit_one_bio(control):
            yield bio._replace(kind=BioKind.UNFLAGGED)

    def _btrfs_readahead(self, batch: list[int]) -> Generator[LogicalBio, None, int]:
        """Gather pages that lie one behind the other into bios (`btrfs_do_readpage`); return the last page.

        The batch is made longer, up to the end of a compressed extent.
        """
        control = _BioControl(joins_over_holes=self._behaviour.joins_over_holes)
        for page in batch:
            found = self._maps.btrfs_get_extent(page * BLOCK, BLOCK)
            if found.compressed and self._behaviour.expands_readahead:
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
        pages = control.pages
        if begun.compressed:
            assert begun.item is not None
            pages += self._add_ra_bio_pages((pages[-1] + 1) * BLOCK, begun.end)
            length = begun.item.disk_num_bytes
            yield LogicalBio(BioKind.UNFLAGGED, begun.block_start, length, pages, begun.item)
        else:
            yield LogicalBio(BioKind.BUFFERED, control.logical, length, pages)

    def _add_ra_bio_pages(self, start: int, end: int) -> list[int]:
        """Add the pages that an inflated extent fills besides those of the bio, where they are missing."""
        added: list[int] = []
        missed = 0
        for index in range(start // BLOCK, min(end, block_end(self._file.i_size)) // BLOCK):
            if index not in self._pages:
                self._add(index)
                added.append(index)
                continue
            missed += 1
            if missed > MISSED_SECTORS:
                break
        return added

    def _add(self, index: int) -> None:
        self._pages.add(index)
        self.added.append(index)


class _BioControl:
    """`struct btrfs_bio_ctrl`: the bio that is being filled."""

    def __init__(self, *, joins_over_holes: bool) -> None:
        self.joins_over_holes = joins_over_holes
        self.map: ExtentMap | None = None
        self.pages: list[int] = []
        self.logical = 0
        self.length = 0

    def takes(self, found: ExtentMap, offset: int) -> bool:
        """Whether a page can be added (`btrfs_bio_is_contig`, and the rules for compressed extents)."""
        if not self.length or self.map is None:
            return True
        if found.compressed or self.map.compressed:
            return found is self.map
        if self.logical + self.length != found.block_start + offset - found.start:
            return False
        return self.joins_over_holes or self.pages[-1] * BLOCK + BLOCK == offset

    def add(self, found: ExtentMap, offset: int) -> None:
        if not self.length:
            self.pages = []
            self.logical = found.block_start + offset - found.start
        self.map = found
        self.pages.append(offset // BLOCK)
        self.length += BLOCK


def page_data(file: File, contents: Contents, start: int, end: int) -> Iterator[memoryview | int]:
    """Yield what the file has in a range before its end: bytes, or how many zeros.

    OSError with EIO at an extent that cannot be inflated.
    """
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


def page_of(item: FileExtent, inflated: memoryview | None, index: int) -> bytes:
    """Return what a page has of a compressed extent."""
    begin = index * BLOCK - item.file_offset + item.offset
    return bytes(inflated or b"")[begin : begin + BLOCK].ljust(BLOCK, b"\0")


def _item_data(item: FileExtent, contents: Contents, inside: int, length: int) -> memoryview | int:
    if item.type is ExtentType.PREALLOC or (item.type is ExtentType.REG and not item.disk_bytenr):
        return length
    if item.compression or item.type is ExtentType.INLINE:
        begin = inside + item.offset
        data = contents.inflated(item)
        if data is None:
            raise OSError(EIO, "cannot be inflated")
        return data[begin : begin + length]
    return contents.raw(item.disk_bytenr + item.offset + inside, length)
