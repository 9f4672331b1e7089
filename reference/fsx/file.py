# SPDX-License-Identifier: GPL-2.0-or-later
"""The naive model of a file: its bytes, and nothing of how a kernel keeps them."""

from __future__ import annotations

import errno
from collections.abc import Callable

from reference.fsx.operation import Answer, Kind, Operation, pattern

__all__ = ["ByteFile"]


class ByteFile:
    """A file as the system calls promise it, byte for byte; implements `FileUnderTest`.

    Answers follow the manual pages, and mm/filemap.c, fs/open.c, fs/remap_range.c and fs/read_write.c of
    Linux where these leave a choice. A refused operation changes nothing.
    """

    def __init__(self, block: int = 4096) -> None:
        self.data = bytearray()
        """The contents; the length is the file's size."""
        self.block = block
        """What direct I/O, collapsing, inserting, cloning and deduplication are aligned to, bytes."""
        nothing = self._nothing
        self._functions: dict[Kind, Callable[[Operation], Answer]] = {
            Kind.READ: self._read,
            Kind.DIRECT_READ: self._direct_read,
            Kind.MAP_READ: self._map_read,
            Kind.WRITE: self._write,
            Kind.DIRECT_WRITE: self._direct_write,
            Kind.MAP_WRITE: self._map_write,
            Kind.TRUNCATE: self._truncate,
            Kind.ALLOCATE: self._allocate,
            Kind.RESERVE: nothing,
            Kind.PUNCH_HOLE: self._zero_within,
            Kind.ZERO_RANGE: self._zero_range,
            Kind.ZERO_WITHIN: self._zero_within,
            Kind.COLLAPSE_RANGE: self._collapse_range,
            Kind.INSERT_RANGE: self._insert_range,
            Kind.CLONE: self._clone,
            Kind.DEDUPE: self._dedupe,
            Kind.COPY: self._copy,
            Kind.FSYNC: nothing,
            Kind.INVALIDATE: nothing,
            Kind.REMOUNT: nothing,
        }

    def execute(self, operation: Operation) -> Answer:
        """Do it, and return the bytes read, 0 or an errno."""
        return self._functions[operation.kind](operation)

    def store(self, offset: int, data: bytes | bytearray) -> None:
        """Put `data` at `offset`, after a hole if that is beyond the end."""
        if offset > len(self.data):
            self._extend(offset)
        self.data[offset : offset + len(data)] = data

    def _nothing(self, _operation: Operation) -> Answer:
        return 0

    def _read(self, operation: Operation) -> Answer:
        _, offset, length, _, _ = operation
        return bytes(self.data[offset : offset + length])

    def _direct_read(self, operation: Operation) -> Answer:
        return self._read(operation) if self._aligned(operation.offset, operation.length) else errno.EINVAL

    def _map_read(self, operation: Operation) -> Answer:
        return self._read(operation) if self._inside(operation) else errno.EFAULT

    def _write(self, operation: Operation) -> Answer:
        _, offset, length, _, seed = operation
        self.store(offset, pattern(seed, length))
        return 0

    def _direct_write(self, operation: Operation) -> Answer:
        return self._write(operation) if self._aligned(operation.offset, operation.length) else errno.EINVAL

    def _map_write(self, operation: Operation) -> Answer:
        return self._write(operation) if self._inside(operation) else errno.EFAULT

    def _truncate(self, operation: Operation) -> Answer:
        size = operation.offset
        del self.data[size:]
        self._extend(size)
        return 0

    def _allocate(self, operation: Operation) -> Answer:
        self._extend(operation.offset + operation.length)
        return 0

    def _zero_range(self, operation: Operation) -> Answer:
        self.store(operation.offset, bytes(operation.length))
        return 0

    def _zero_within(self, operation: Operation) -> Answer:
        _, offset, length, _, _ = operation
        end = min(offset + length, len(self.data))
        if offset < end:
            self.data[offset:end] = bytes(end - offset)
        return 0

    # fs/open.c vfs_fallocate leaves it to the file systems; ext4, f2fs and xfs agree on these refusals.
    def _collapse_range(self, operation: Operation) -> Answer:
        _, offset, length, _, _ = operation
        if not self._aligned(offset, length) or offset + length >= len(self.data):
            return errno.EINVAL
        del self.data[offset : offset + length]
        return 0

    def _insert_range(self, operation: Operation) -> Answer:
        _, offset, length, _, _ = operation
        if not self._aligned(offset, length) or offset >= len(self.data):
            return errno.EINVAL
        self.data[offset:offset] = bytes(length)
        return 0

    # fs/remap_range.c generic_remap_checks and generic_remap_check_len: a part of a block can only be
    # shared if it is the end of the file and becomes the end of the file.
    def _clone(self, operation: Operation) -> Answer:
        _, offset, length, to, _ = operation
        size, end = len(self.data), offset + length
        if end > size or not self._aligned(offset, to):
            return errno.EINVAL
        if not self._aligned(length) and (end < size or to + length < size):
            return errno.EINVAL
        if abs(offset - to) < length:
            return errno.EINVAL
        self.store(to, self.data[offset : offset + length])
        return 0

    def _dedupe(self, operation: Operation) -> Answer:
        _, offset, length, to, _ = operation
        size = len(self.data)
        if max(offset, to) + length > size or not self._aligned(offset, to):
            return errno.EINVAL
        if min(offset, to) + length < size:
            length -= length % self.block
        if abs(offset - to) < length:
            return errno.EINVAL
        same = self.data[offset : offset + length] == self.data[to : to + length]
        return 0 if same else errno.EBADE

    # fs/read_write.c generic_copy_file_checks
    def _copy(self, operation: Operation) -> Answer:
        _, offset, length, to, _ = operation
        length = max(0, min(length, len(self.data) - offset))
        if offset < to + length and to < offset + length:
            return errno.EINVAL
        if length:
            self.store(to, self.data[offset : offset + length])
        return 0

    def _extend(self, size: int) -> None:
        if (missing := size - len(self.data)) > 0:
            self.data += bytes(missing)

    def _inside(self, operation: Operation) -> bool:
        return operation.offset + operation.length <= len(self.data)

    def _aligned(self, *numbers: int) -> bool:
        return not any(number % self.block for number in numbers)
