# SPDX-License-Identifier: GPL-2.0-or-later
"""The read itself (fs/btrfs/direct-io.c and file.c, fs/iomap/direct-io.c)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from errno import EAGAIN, EINVAL, EIO

from reference.direct_io.mainline.behaviour import Behaviour
from reference.direct_io.mainline.bios import BioKind, Submitted, btrfs_submit_bbio
from reference.direct_io.mainline.complete import BioEnds, Piece, error_may_be_lost
from reference.direct_io.mainline.extent_map import ExtentMap, ExtentMapTree, MapKind
from reference.direct_io.mainline.file import BLOCK, Contents, File, Volume, block_end
from reference.direct_io.mainline.inflated import InflatedRepair
from reference.direct_io.mainline.memory import IovIter
from reference.direct_io.mainline.outcome import DirectCall, How, Outcome, Timing
from reference.direct_io.mainline.page_cache import LogicalBio, PageCache, page_of
from reference.direct_io.source import FileExtent, Request

__all__ = ["Reader"]

DMA_ALIGNMENT = 512
"""`bdev_dma_alignment` + 1 of a loop device, bytes."""


class Reader:
    """An open file, read by one request after the other."""

    def __init__(
        self, file: File, volume: Volume, contents: Contents, behaviour: Behaviour = Behaviour.linux_6_18
    ) -> None:
        self.maps = ExtentMapTree(file, merges_merged=behaviour.merges_merged)
        self.cache = PageCache(file, self.maps, behaviour)
        self.behaviour = behaviour
        self._file = file
        self._volume = volume
        self._contents = contents
        self._bios = 0

    def read(self, request: Request, *, nowait: bool = False, timing: Timing | None = None) -> Outcome:
        """Read as the kernel does (`btrfs_file_read_iter`); `nowait` is RWF_NOWAIT.

        Nothing that is repaired stays so: if it does, `Contents` has to say it at the next read.
        """
        return _Read(self, request, timing or Timing(), nowait=nowait).btrfs_file_read_iter()

    def submit(self, kind: BioKind, logical: int, length: int, tid: int) -> Iterator[Submitted]:
        """Yield what thread `tid` submits to read from a logical address on."""
        self._bios += 1
        return btrfs_submit_bbio(kind, logical, length, self._bios, self._volume, tid, self.behaviour)

    @property
    def parts(self) -> tuple[File, Volume, Contents]:
        """What is read."""
        return self._file, self._volume, self._contents


class _Read:
    """One call: `struct kiocb` and `struct iov_iter`."""

    def __init__(self, reader: Reader, request: Request, timing: Timing, *, nowait: bool) -> None:
        self.reader = reader
        self.file, self.volume, self.contents = reader.parts
        self.behaviour = reader.behaviour
        self.ends = BioEnds(self.file, self.volume, self.contents, self.behaviour)
        self.tid = request.pid
        self.nowait = nowait
        self.under_way: set[int] = set()
        """Pages that are not waited for."""
        self.timing = timing
        self.request_offset = self.ki_pos = request.offset
        self.given_up = -1
        self.iter = IovIter(request.iov)
        self.outcome = Outcome(writes=self.iter.writes, completion=self.ends.done)

    def btrfs_file_read_iter(self) -> Outcome:
        if self.iter.count:
            self.outcome.returned = self.read_all()
        return self.outcome

    def read_all(self) -> int:
        try:
            done = self.btrfs_direct_read()
        except OSError as error:
            return -(error.errno or 0)
        finally:
            self.outcome.submitted_directly = len(self.outcome.submitted)
        if not self.iter.count or self.ki_pos >= self.file.i_size:
            return done
        try:
            return done + self.filemap_read()
        except OSError as error:
            return done or -(error.errno or 0)

    def btrfs_direct_read(self) -> int:
        """Read directly until the end, or until something is met that has to be read buffered."""
        if not self.check_direct_read():
            return 0
        read = previous = 0
        while True:
            done = self.iomap_dio_rw()
            read += done
            left = self.iter.count
            if not self.behaviour.tries_again or not done or not left or left == previous:
                return read
            previous = left

    def check_direct_read(self) -> bool:
        """Whether place, addresses and lengths are of whole blocks, and no two vectors have one base."""
        if (self.ki_pos | self.iter.alignment()) % BLOCK:
            return False
        bases = [base for base, _ in self.iter.vectors]
        return len(set(bases)) == len(bases)

    def iomap_dio_rw(self) -> int:
        """Go through the extent maps; return how much of the file was read."""
        self.outcome.direct.append(DirectCall(self.ki_pos, self.iter.count))
        i_size = self.file.i_size
        pos = self.ki_pos
        if pos >= i_size:
            return 0
        if self.nowait and self.behaviour.nowait_without_pages:
            self.check_no_pages(pos, pos + self.iter.count)
        while self.iter.count and (self.behaviour.reads_behind_eof or pos < i_size):
            if self.error_came_back():
                break
            part = self.iomap_dio_iter(pos)
            if not part:
                break
            pos += part
        self.raise_error()
        if pos >= i_size:
            self.iter.revert(pos - i_size)
        done = min(pos, i_size) - self.ki_pos
        self.ki_pos += done
        return done

    def check_no_pages(self, start: int, end: int) -> None:
        """OSError with EAGAIN if a page of the range is there (`filemap_range_has_page`)."""
        if any(map(self.reader.cache.has, range(start // BLOCK, block_end(end) // BLOCK))):
            raise BlockingIOError(EAGAIN, "a page is there")

    def error_came_back(self) -> bool:
        """Whether a bio has failed already (`dio->error`)."""
        before = self.timing.bios_before_error
        if self.timing.returned >= 0 or before is None:
            return False
        # Bios for missing devices are seen by what is read instead.
        return bool(self.ends.done.failed) and len(self.outcome.bios) >= before and self.read_no_more()

    def raise_error(self) -> None:
        """OSError with EIO if a bio has failed, unless that is lost on the way."""
        if not self.ends.done.failed:
            return
        may_be_lost = error_may_be_lost(self.outcome.submitted, self.ends.done.failed)
        if not (self.behaviour.loses_errors and may_be_lost and self.timing.returned >= 0):
            raise OSError(EIO, "a block has no good copy")
        self.outcome.error_lost = True

    def iomap_dio_iter(self, pos: int) -> int:
        """Read what one extent map has; 0 for one that is to be read buffered (ENOTBLK).

        OSError with EAGAIN where the caller would have to wait.
        """
        length = self.iter.count
        if self.nowait and self.behaviour.nowait_one_page and length > BLOCK:
            raise BlockingIOError(EAGAIN, "more than a page")
        length = min(length, self.behaviour.read_limit * BLOCK)
        found = self.reader.maps.btrfs_get_extent(pos, length)
        if found.compressed or found.kind is MapKind.INLINE:
            if self.nowait:
                raise BlockingIOError(EAGAIN, "to be read through the page cache")
            return 0
        length = min(length, found.end - pos)
        if self.nowait and self.behaviour.nowait_one_page and length < self.iter.count:
            raise BlockingIOError(EAGAIN, "more than an extent")
        if found.kind is MapKind.REG:
            if self.behaviour.checks_next_vector and not self.iter.next_is_aligned(DMA_ALIGNMENT):
                return 0
            self.outcome.add_part(pos, pos + length, How.DIRECT)
            self.iomap_dio_bio_iter(found, pos, length)
        else:
            self.outcome.add_part(pos, pos + length, How.HOLE)
            self.iter.zero(length)
        return length

    def iomap_dio_bio_iter(self, found: ExtentMap, pos: int, length: int) -> None:
        if self.behaviour.checks_empty_vectors and not self.iter.is_aligned(DMA_ALIGNMENT):
            raise OSError(EINVAL, "an empty vector is at an odd address")
        logical = found.block_start + pos - found.start
        kind = BioKind.DIRECT if self.behaviour.direct_is_sync else BioKind.UNFLAGGED
        for piece in self.submit(kind, logical, length):
            if piece.copy:
                self.iter.copy(self.contents.copy(*piece.copy, piece.logical, piece.length))
            else:
                self.iter.copy(memoryview(bytes(piece.length)))
                self.outcome.memory_unknown |= not piece.zeroed

    def submit(self, kind: BioKind, logical: int, length: int) -> Iterator[Piece]:
        """Send a bio, and yield what comes of it."""
        for one in self.reader.submit(kind, logical, length, self.tid):
            self.outcome.submitted.append(one)
            yield from self.ends.btrfs_check_read_bio(one, len(self.outcome.submitted) - 1)

    def filemap_read(self) -> int:
        """Read the rest through the page cache, up to the file's end, or until something cannot be had.

        OSError if that is the first: EIO, or EAGAIN, if it would have to be waited for.
        """
        start, left = self.ki_pos, self.iter.count
        end = min(start + left, self.file.i_size)
        self.outcome.add_part(start, end, How.BUFFERED)
        cache = self.reader.cache
        cache.added = self.outcome.pages
        last = block_end(start + left) // BLOCK
        position = start
        try:
            while position < end:
                pages = self.filemap_get_pages(position // BLOCK, last)
                position += self.copy_pages(position, min(end, pages.stop * BLOCK))
        except OSError:
            if position == start:
                raise
        if self.behaviour.adds_page_behind_eof and position == end < start + left and not end % BLOCK:
            cache.add_behind_eof()
        return position - start

    def filemap_get_pages(self, index: int, last: int) -> range:
        """Return some pages from `index` on that can be copied; OSError if there is none."""
        cache = self.reader.cache
        if not cache.has(index):
            for bio in cache.force_page_cache_ra(index, last):
                self.fill_pages(bio)
        pages = cache.filemap_get_read_batch(index, last)
        if self.under_way & set(pages):
            pages = range(index, min(self.under_way & set(pages)))
            if not pages:
                raise BlockingIOError(EAGAIN, "to be read from devices")
            return pages
        if not cache.is_bad(pages[-1]):
            return pages
        if len(pages) > 1 and not self.behaviour.rereads_behind_others:
            return pages[:-1]
        if self.read_again(pages[-1]):
            return pages
        if len(pages) == 1:
            raise OSError(EIO, "a page cannot be read")
        if self.read_no_more():
            self.given_up = pages[-1]
        return pages[:-1]

    def read_again(self, index: int) -> bool:
        """Read a page that could not be read; return whether it can."""
        cache = self.reader.cache
        if index == self.given_up:
            return False
        for bio in cache.btrfs_read_folio(index):
            self.fill_pages(bio)
        if cache.is_bad(index):
            cache.shrink_readahead_size_eio()
        return not cache.is_bad(index)

    def read_no_more(self) -> bool:
        """Whether nothing more was read than by now.

        A page behind others is read again at once, and another time when it is the first; but if it is locked
        when the others are found, only then (`filemap_update_page`).
        """
        by_now = len(self.outcome.bios) + len(self.ends.done.reads)
        return by_now >= self.timing.reads_in_all

    def fill_pages(self, bio: LogicalBio) -> None:
        """Read into pages; those of a compressed extent are filled together, or not at all."""
        self.outcome.longest_buffered = max(self.outcome.longest_buffered, bio.length)
        if bio.packed is not None and self.behaviour.repairs_inflated:
            self.fill_inflated(bio, bio.packed)
            return
        pieces = list(self.submit(bio.kind, bio.logical, bio.length))
        if self.nowait:
            self.under_way.update(bio.pages)
        held = self.reader.cache.held
        fails = any(piece.copy is None for piece in pieces)
        if bio.packed is not None:
            if fails or self.contents.inflated(bio.packed) is None:
                held.update(dict.fromkeys(bio.pages))
        elif fails and self.behaviour.pages_fail_together and not self.error_is_lost(bio, pieces):
            held.update(dict.fromkeys(bio.pages))
        else:
            self.hold(bio, pieces)

    def error_is_lost(self, bio: LogicalBio, pieces: Sequence[Piece]) -> bool:
        """Whether all pages of a bio count as read, though a block has no good copy."""
        mine = [one for one in self.outcome.submitted if one.whole == self.outcome.submitted[-1].whole]
        first = len(self.outcome.submitted) - len(mine)
        failed = {number - first for number in self.ends.done.failed}
        if not (self.behaviour.loses_errors and error_may_be_lost(mine, failed)):
            return False
        missing = [piece.logical for piece in pieces if piece.copy is None]
        bad = next((logical for logical in missing if self.is_bad_alone(logical)), None)
        if bad is None:
            # All of its pages can be had one by one.
            return self.read_no_more()
        place = bio.pages[(bad - bio.logical) // BLOCK] * BLOCK
        lost = self.timing.returned > max(0, place - self.request_offset)
        self.outcome.error_lost |= lost
        return lost

    def is_bad_alone(self, logical: int) -> bool:
        """Whether a block has no good copy even if nothing else is read with it."""
        ends = BioEnds(*self.reader.parts, self.behaviour)
        ends.done.repaired.update(self.ends.done.repaired)
        parts = self.reader.submit(BioKind.UNFLAGGED, logical, BLOCK, self.tid)
        return any(piece.copy is None for one in parts for piece in ends.btrfs_check_read_bio(one, 0))

    def hold(self, bio: LogicalBio, pieces: Sequence[Piece]) -> None:
        """Have pages hold what was read, where that need not be what was written."""
        cache = self.reader.cache
        pages = iter(bio.pages)
        for piece in pieces:
            for inside in range(0, piece.length, BLOCK):
                page = next(pages)
                if piece.copy is None:
                    lost = self.behaviour.pages_fail_together
                    cache.held[page] = memoryview(bytes(BLOCK)) if lost else None
                    cache.unknown.update(() if piece.zeroed else (page,))
                elif self.file.nodatasum:
                    place = piece.copy._replace(physical=piece.copy.physical + inside)
                    # A block that was written over in this read has what another one had.
                    place = self.ends.done.repaired.get(place, place)
                    cache.held[page] = self.contents.copy(*place, piece.logical + inside, BLOCK)

    def fill_inflated(self, bio: LogicalBio, packed: FileExtent) -> None:
        """Read a compressed extent as kernels do that check and repair it as a whole."""
        parts = list(self.reader.submit(bio.kind, bio.logical, bio.length, self.tid))
        self.outcome.submitted += parts
        repair = InflatedRepair(self.ends, self.volume, self.behaviour, bio.logical, bio.length)
        inflated = self.contents.inflated(packed)
        pages = [page_of(packed, inflated, index) for index in bio.pages]
        if not repair.end_compressed_bio_read(parts, pages) or inflated is None:
            self.reader.cache.held.update(dict.fromkeys(bio.pages))

    def copy_pages(self, start: int, end: int) -> int:
        """Copy to memory; return how many bytes. OSError at an extent that cannot be inflated."""
        pages = range(start // BLOCK, block_end(end) // BLOCK)
        self.outcome.memory_unknown |= not self.reader.cache.unknown.isdisjoint(pages)
        for data in self.reader.cache.data(self.contents, start, end):
            if isinstance(data, int):
                self.iter.zero(data)
            else:
                self.iter.copy(data)
        return end - start
