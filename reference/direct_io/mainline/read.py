# SPDX-License-Identifier: GPL-2.0-or-later
"""The read itself (fs/btrfs/direct-io.c and file.c, fs/iomap/direct-io.c)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from errno import EAGAIN
from typing import NamedTuple

from reference.direct_io.mainline.behaviour import Behaviour
from reference.direct_io.mainline.bios import Bio, BioKind, Submitted, btrfs_submit_bbio
from reference.direct_io.mainline.extent_map import ExtentMap, ExtentMapTree, MapKind
from reference.direct_io.mainline.file import BLOCK, Contents, File, Volume
from reference.direct_io.mainline.memory import IovIter
from reference.direct_io.mainline.page_cache import PageCache, page_data
from reference.direct_io.source import Request

__all__ = ["DirectCall", "Outcome", "Reader"]


class DirectCall(NamedTuple):
    """A call of `iomap_dio_rw`."""

    pos: int
    """Where in the file, bytes."""
    length: int
    """Bytes that are left of the request."""


@dataclass
class Outcome:
    """What a read comes to."""

    returned: int = 0
    """What the system call returns: bytes, or -errno."""
    direct: list[DirectCall] = field(default_factory=list)
    submitted: list[Submitted] = field(default_factory=list)
    """Bios in the order in which they are submitted."""
    longest_buffered: int = 0
    """Bytes of the longest bio that the page cache was filled by, before it was cut for devices."""
    pages: list[int] = field(default_factory=list)
    """Indices of the pages that get into the page cache, in that order."""
    writes: list[tuple[int, memoryview | int]] = field(default_factory=list)
    """What is written to memory, in order: an address, and bytes or how many zeros."""

    @property
    def bios(self) -> list[Bio]:
        """The bios alone."""
        return [one.bio for one in self.submitted]


class Reader:
    """An open file, read by one request after the other."""

    def __init__(
        self, file: File, volume: Volume, contents: Contents, behaviour: Behaviour = Behaviour.linux_6_18
    ) -> None:
        self.maps = ExtentMapTree(file)
        self.cache = PageCache(file, self.maps)
        self.behaviour = behaviour
        self._file = file
        self._volume = volume
        self._contents = contents
        self._bios = 0

    def read(self, request: Request, *, nowait: bool = False) -> Outcome:
        """Read as the kernel does (`btrfs_file_read_iter`); with `nowait`, of whole blocks (RWF_NOWAIT)."""
        return _Read(self, request, nowait=nowait).btrfs_file_read_iter()

    def submit(self, kind: BioKind, logical: int, length: int, tid: int) -> Iterator[Submitted]:
        """Yield what thread `tid` submits to read from a logical address on."""
        self._bios += 1
        return btrfs_submit_bbio(kind, logical, length, self._bios, self._volume, tid, self.behaviour)

    @property
    def parts(self) -> tuple[File, Contents]:
        """What is read."""
        return self._file, self._contents


class _Read:
    """One call: `struct kiocb` and `struct iov_iter`."""

    def __init__(self, reader: Reader, request: Request, *, nowait: bool) -> None:
        self.reader = reader
        self.file, self.contents = reader.parts
        self.behaviour = reader.behaviour
        self.tid = request.pid
        self.nowait = nowait
        self.ki_pos = request.offset
        self.iter = IovIter(request.iov)
        self.outcome = Outcome(writes=self.iter.writes)

    def btrfs_file_read_iter(self) -> Outcome:
        if self.iter.count:
            self.outcome.returned = self.read_all()
        return self.outcome

    def read_all(self) -> int:
        try:
            done = self.btrfs_direct_read()
        except OSError as error:
            return -(error.errno or 0)
        if self.iter.count and self.ki_pos < self.file.i_size:
            done += self.filemap_read()
        return done

    def btrfs_direct_read(self) -> int:
        """Read directly until the end, or until something is met that has to be read buffered."""
        if not self.check_direct_read():
            return 0
        read = previous = 0
        while True:
            done = self.iomap_dio_rw()
            read += done
            left = self.iter.count
            if not done or not left or left == previous:
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
        while self.iter.count and (self.behaviour.reads_behind_eof or pos < i_size):
            part = self.iomap_dio_iter(pos)
            if not part:
                break
            pos += part
        if pos >= i_size:
            self.iter.revert(pos - i_size)
        done = min(pos, i_size) - self.ki_pos
        self.ki_pos += done
        return done

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
            if self.nowait and self.behaviour.nowait_one_page:
                raise BlockingIOError(EAGAIN, "to be read through the page cache")
            return 0
        length = min(length, found.end - pos)
        if found.kind is MapKind.REG:
            self.iomap_dio_bio_iter(found, pos, length)
        else:
            self.iter.zero(length)
        return length

    def iomap_dio_bio_iter(self, found: ExtentMap, pos: int, length: int) -> None:
        logical = found.block_start + pos - found.start
        for one in self.reader.submit(BioKind.DIRECT, logical, length, self.tid):
            self.outcome.submitted.append(one)
            _, devid, physical, part = one.bio
            if self.file.nodatasum:
                self.iter.copy(self.contents.copy(devid, physical, one.logical, part))
            else:
                self.iter.copy(self.contents.raw(one.logical, part))

    def filemap_read(self) -> int:
        """Read the rest through the page cache, up to the file's end."""
        cache = self.reader.cache
        end = min(self.ki_pos + self.iter.count, self.file.i_size)
        cache.added = self.outcome.pages
        for kind, logical, length in cache.fill(self.ki_pos, self.ki_pos + self.iter.count):
            self.outcome.submitted += self.reader.submit(kind, logical, length, self.tid)
            self.outcome.longest_buffered = max(self.outcome.longest_buffered, length)
        for data in page_data(self.file, self.contents, self.ki_pos, end):
            if isinstance(data, int):
                self.iter.zero(data)
            else:
                self.iter.copy(data)
        return end - self.ki_pos
