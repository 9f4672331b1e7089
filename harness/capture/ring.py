# SPDX-License-Identifier: GPL-2.0-or-later
"""Reader of a BPF ring buffer that takes whole stretches of fixed-size records at a time.

libbpf's own reader calls back for each record, which in Python costs more than the event it reports.
Layout (kernel/bpf/ringbuf.c): a page with the consumer position, a page with the producer position, then
the data twice, so that a record that wraps is still contiguous. A record is an 8-byte header (u32 length with
bit 31 busy and bit 30 discarded, u32 page offset) and the payload, padded to 8 bytes.
"""

from __future__ import annotations

import mmap
from typing import BinaryIO

import numpy as np

from harness.errors import InfrastructureError

__all__ = ["HEADER_BYTES", "RingReader"]

HEADER_BYTES = 8
_BUSY = 1 << 31


class RingReader:
    """Drains a ring buffer of `size` bytes whose records all carry `payload` bytes."""

    def __init__(self, fd: int, size: int, payload: int) -> None:
        page = mmap.PAGESIZE
        self._size = size
        self._record = HEADER_BYTES + (payload + 7 & ~7)
        self._payload = payload
        self._consumer = mmap.mmap(fd, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=0)
        self._producer = mmap.mmap(fd, page + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=page)
        self._data = memoryview(self._producer)[page:]
        # The kernel reads and writes these while we do: each access must be one aligned 8-byte load or store.
        self._consumer_position = np.frombuffer(self._consumer, np.uint64, 1)
        self._producer_position = np.frombuffer(self._producer, np.uint64, 1)

    def produced(self) -> int:
        """Producer position, bytes since the beginning: grows with every record."""
        return int(self._producer_position[0])

    def consumed(self) -> int:
        """Consumer position, bytes since the beginning."""
        return int(self._consumer_position[0])

    def drain(self, out: BinaryIO) -> memoryview | None:
        """Append all complete records, headers included, to `out`, and return them.

        None when there was nothing. Raises InfrastructureError when a record is not as long as all are.
        """
        begin = self.consumed()
        count = (self.produced() - begin) // self._record
        offset = begin % self._size
        # Released even when this raises: a traceback that keeps it would keep the mapping open.
        with self._data[offset : offset + count * self._record] as stretch:
            count = self._complete(stretch, count)
            chunk = memoryview(bytes(stretch[: count * self._record]))
        if not count:
            return None
        out.write(chunk)
        self._consumer_position[0] = begin + count * self._record
        return chunk

    def _complete(self, stretch: memoryview, count: int) -> int:
        """Return how many of the `count` records are complete: one that is still being written ends them."""
        lengths = np.ndarray(count, np.uint32, stretch, strides=(self._record,)).copy()
        odd = np.flatnonzero(lengths != self._payload)
        if not odd.size:
            return count
        if lengths[odd[0]] & _BUSY == 0:
            raise InfrastructureError(f"ring buffer record of {lengths[odd[0]]:#x} bytes: not ours")
        return int(odd[0])

    def close(self) -> None:
        """Unmap the buffer."""
        del self._consumer_position, self._producer_position
        self._data.release()
        self._producer.close()
        self._consumer.close()
