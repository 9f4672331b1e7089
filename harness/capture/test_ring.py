# SPDX-License-Identifier: GPL-2.0-or-later
"""The reader of the BPF ring buffer, on memory laid out as the kernel's."""

from __future__ import annotations

import io
import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from harness.capture.ring import HEADER_BYTES, RingReader
from harness.errors import InfrastructureError

PAGE = mmap.PAGESIZE
SIZE = 2 * PAGE
PAYLOAD = 20
RECORD = HEADER_BYTES + 24
BUSY, DISCARDED = 1 << 31, 1 << 30


@dataclass
class Ring:
    """The kernel's side: a page with the consumer position, one with the producer position, data twice."""

    fd: int
    memory: mmap.mmap
    reader: RingReader

    @property
    def consumer(self) -> int:
        return int.from_bytes(self.memory[:8], "little")

    @property
    def producer(self) -> int:
        return int.from_bytes(self.memory[PAGE : PAGE + 8], "little")

    def go_to(self, position: int) -> None:
        """Let both sides stand at `position`, as after a long run."""
        for at in (0, PAGE):
            self.memory[at : at + 8] = position.to_bytes(8, "little")

    def add(self, number: int, length: int = PAYLOAD) -> int:
        """Append a record and return its position."""
        position = self.producer
        payload = bytes([number]) * PAYLOAD
        self.write(position, struct.pack("<II", length, 0) + payload.ljust(RECORD - HEADER_BYTES, b"\0"))
        self.memory[PAGE : PAGE + 8] = (position + RECORD).to_bytes(8, "little")
        return position

    def write(self, position: int, data: bytes) -> None:
        """Write at a position of the ring, in both its views."""
        for i, byte in enumerate(data):
            at = 2 * PAGE + (position + i) % SIZE
            self.memory[at] = self.memory[at + SIZE] = byte

    def drain(self) -> list[int]:
        """Return the numbers of the records that the reader finds."""
        out = io.BytesIO()
        chunk = self.reader.drain(out)
        data = out.getvalue()
        assert data == (b"" if chunk is None else bytes(chunk))
        assert len(data) % RECORD == 0
        return [data[at + HEADER_BYTES] for at in range(0, len(data), RECORD)]


@pytest.fixture
def ring() -> Iterator[Ring]:
    fd = os.memfd_create("ring")
    os.truncate(fd, 2 * PAGE + 2 * SIZE)
    reader = RingReader(fd, SIZE, PAYLOAD)
    with mmap.mmap(fd, 2 * PAGE + 2 * SIZE) as memory:
        yield Ring(fd, memory, reader)
    reader.close()
    os.close(fd)


def test_an_empty_ring_has_nothing(ring: Ring) -> None:
    assert ring.drain() == []
    assert ring.consumer == 0


def test_records_come_whole_and_once(ring: Ring) -> None:
    for number in (1, 2, 3):
        ring.add(number)
    assert ring.reader.produced() == 3 * RECORD
    assert ring.drain() == [1, 2, 3]
    assert ring.consumer == ring.reader.consumed() == 3 * RECORD
    assert ring.drain() == []
    ring.add(4)
    assert ring.drain() == [4]


def test_a_record_being_written_ends_the_stretch(ring: Ring) -> None:
    ring.add(1)
    position = ring.add(2, PAYLOAD | BUSY)
    ring.add(3)
    assert ring.drain() == [1]
    assert ring.drain() == []
    assert ring.consumer == position
    ring.write(position, struct.pack("<I", PAYLOAD))
    assert ring.drain() == [2, 3]


def test_the_end_of_the_ring_is_no_seam(ring: Ring) -> None:
    assert SIZE % RECORD == 0  # so shift the records against the end
    ring.go_to(SIZE - RECORD // 2)
    for number in (1, 2):
        ring.add(number)
    assert ring.drain() == [1, 2]


def test_a_full_ring_is_drained_at_once(ring: Ring) -> None:
    ring.go_to(5 * SIZE + 8)
    numbers = [n % 251 for n in range(SIZE // RECORD)]
    for number in numbers:
        ring.add(number)
    assert ring.drain() == numbers
    assert ring.consumer == 6 * SIZE + 8


@pytest.mark.parametrize("length", [PAYLOAD - 1, PAYLOAD + 8, PAYLOAD | DISCARDED, 0])
def test_a_record_of_another_kind_is_refused(ring: Ring, length: int) -> None:
    ring.add(1)
    ring.add(2, length)
    with pytest.raises(InfrastructureError, match=f"record of {length:#x} bytes"):
        ring.drain()
    assert ring.consumer == 0


def test_it_closes_while_a_refusal_is_still_looked_at(ring: Ring) -> None:
    ring.add(1, PAYLOAD - 1)
    reader = RingReader(ring.fd, SIZE, PAYLOAD)
    with pytest.raises(InfrastructureError) as caught:
        reader.drain(io.BytesIO())
    reader.close()
    assert caught.tb is not None  # its frames hold what the reader looked at


def test_positions_are_read_and_stored_in_one_piece(ring: Ring) -> None:
    """The kernel looks at the consumer position whenever it likes, and must never see half of a store.

    `struct.pack_into` and slices of a mapping clear or copy byte by byte; storing one item of an aligned
    array of 8-byte words is one store. Watching from another CPU finds the difference too rarely to test.
    """
    consumer, producer = ring.reader._consumer_position, ring.reader._producer_position
    for word in (consumer, producer):
        assert word.dtype == np.dtype(np.uint64)
        assert word.flags.aligned
    ring.add(1)
    assert int(producer[0]) == ring.producer
    consumer.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        ring.reader.drain(io.BytesIO())
    assert ring.consumer == 0  # there is no other store
    consumer.flags.writeable = True
    ring.drain()
    assert int(consumer[0]) == ring.consumer == RECORD
    del consumer, producer, word  # or the mappings could not be closed
