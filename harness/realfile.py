# SPDX-License-Identifier: GPL-2.0-or-later
"""Executes the operations of `reference.fsx` on a file of the running kernel."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

from harness import fileops
from harness.fileops import FallocateMode
from harness.record.interruption import let_in, uninterruptible
from reference.fsx import Answer, Kind, Operation

__all__ = ["RealFile"]

ANSWERS = frozenset({errno.EINVAL, errno.EFAULT, errno.EBADE})
"""Refusals that the model knows. Others (no space, an I/O error) say nothing of contents: they are raised."""

_FALLOCATE = {
    Kind.ALLOCATE: FallocateMode.ALLOCATE,
    Kind.RESERVE: FallocateMode.KEEP_SIZE,
    Kind.PUNCH_HOLE: FallocateMode.PUNCH_HOLE | FallocateMode.KEEP_SIZE,
    Kind.ZERO_RANGE: FallocateMode.ZERO_RANGE,
    Kind.ZERO_WITHIN: FallocateMode.ZERO_RANGE | FallocateMode.KEEP_SIZE,
    Kind.COLLAPSE_RANGE: FallocateMode.COLLAPSE_RANGE,
    Kind.INSERT_RANGE: FallocateMode.INSERT_RANGE,
}
_READS = {
    Kind.READ: fileops.read,
    Kind.DIRECT_READ: fileops.direct_read,
    Kind.MAP_READ: fileops.map_read,
}
_WRITES = {
    Kind.WRITE: fileops.write,
    Kind.DIRECT_WRITE: fileops.direct_write,
    Kind.MAP_WRITE: fileops.map_write,
}
_BETWEEN_RANGES = {
    Kind.CLONE: fileops.reflink,
    Kind.DEDUPE: fileops.dedupe,
    Kind.COPY: fileops.copy_range,
}


class RealFile:
    """A file at `path`, empty and new; implements `reference.fsx.FileUnderTest`.

    It is opened and closed for each operation. Where the file system has no COLLAPSE_RANGE or INSERT_RANGE
    (btrfs), blocks of `block` bytes are moved by cloning. Raises OSError for what is neither done nor one of
    ANSWERS.
    """

    def __init__(self, path: Path, block: int = 4096, remount: Callable[[], None] | None = None) -> None:
        self.path = path
        self._block = block
        self._remount = remount
        """Unmounts and mounts; without it the file is written back and its pages dropped."""
        self.by_cloning: set[Kind] = set()
        """What the file system refused, so that it was done by cloning."""

    def create(self) -> None:
        """Make the file, or make it empty."""
        self.execute(Operation(Kind.TRUNCATE))

    def execute(self, operation: Operation) -> Answer:
        """Do it, and return the bytes read, 0 or an errno."""
        try:
            if operation.kind is Kind.REMOUNT and self._remount:
                self._remount()
                return 0
            return self._undisturbed(operation)
        except OSError as error:
            if error.errno not in ANSWERS:
                raise
            return error.errno

    def _undisturbed(self, operation: Operation) -> Answer:
        # Operations are short and files are opened thousands of times: sooner or later a signal would strike
        # as one is opened or closed, and leave the file system busy.
        with uninterruptible():
            answer = self._execute(operation)
        let_in()
        return answer

    def _execute(self, operation: Operation) -> Answer:
        kind, offset, length, to, seed = operation
        if kind in (Kind.MAP_READ, Kind.MAP_WRITE) and offset + length > self.path.stat().st_size:
            return errno.EFAULT
        if kind in _READS:
            return _READS[kind](self.path, offset, length)
        if kind in _WRITES:
            _WRITES[kind](self.path, offset, length, seed)
        elif kind in _BETWEEN_RANGES:
            _BETWEEN_RANGES[kind](self.path, self.path, offset, length, to)
        elif kind in _FALLOCATE:
            self._fallocate(kind, offset, length)
        else:
            self._whole(kind, offset)
        return 0

    def _whole(self, kind: Kind, size: int) -> None:
        if kind is Kind.TRUNCATE:
            fileops.truncate(self.path, size)
        elif kind is Kind.FSYNC:
            fileops.fsync(self.path)
        else:
            if kind is Kind.REMOUNT:
                fileops.fsync(self.path)
            fileops.drop_cache(self.path)

    def _fallocate(self, kind: Kind, offset: int, length: int) -> None:
        try:
            fileops.fallocate(self.path, _FALLOCATE[kind], offset, length)
        except OSError as error:
            moves = {Kind.COLLAPSE_RANGE: self._collapse, Kind.INSERT_RANGE: self._insert}
            if error.errno != errno.EOPNOTSUPP or kind not in moves:
                raise
            self.by_cloning.add(kind)
            moves[kind](offset, length)

    def _collapse(self, offset: int, length: int) -> None:
        size = self.path.stat().st_size
        end = self._in_whole_blocks(size, offset, length, last=offset + length)
        for piece in range(offset + length, end, length):
            self._clone(piece, min(length, end - piece), piece - length)
        fileops.truncate(self.path, size - length)

    def _insert(self, offset: int, length: int) -> None:
        size = self.path.stat().st_size
        end = self._in_whole_blocks(size, offset, length, last=offset)
        for piece in reversed(range(offset, end, length)):
            self._clone(piece, min(length, end - piece), piece + length)
        fileops.fallocate(self.path, _FALLOCATE[Kind.PUNCH_HOLE], offset, length)
        fileops.truncate(self.path, size + length)

    def _in_whole_blocks(self, size: int, offset: int, length: int, last: int) -> int:
        """Extend the file to whole blocks, which alone may be cloned anywhere; return where it ends then.

        OSError with EINVAL, as fallocate(2) has it, if offset or length are not aligned or `last`, which must
        lie in the file, does not.
        """
        if offset % self._block or length % self._block or last >= size:
            raise OSError(errno.EINVAL, "Invalid argument", str(self.path))
        end = size + -size % self._block
        fileops.truncate(self.path, end)
        return end

    # A clone within one file must not overlap itself: so the tail moves in pieces as long as the distance.
    def _clone(self, offset: int, length: int, to: int) -> None:
        fileops.reflink(self.path, self.path, offset, length, to)
