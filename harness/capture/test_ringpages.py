# SPDX-License-Identifier: GPL-2.0-or-later
"""Pages of the trace ring buffer, made after include/linux/ring_buffer.h, and the events found in them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from harness.capture.ringpages import PAGE_BYTES, Payloads, decode_pages

HEADER_BYTES = 16
TS_SHIFT = 27
PADDING, TIME_EXTEND, TIME_STAMP = 29, 30, 31
EVENTS_MISSED, MISSED_STORED = 1 << 31, 1 << 30


@dataclass
class Page:
    """A page being filled as the kernel fills it; `expected` is what a reader must find: (time, payload)."""

    time_stamp: int
    data: bytes = b""
    expected: list[tuple[int, bytes]] = field(default_factory=list)
    now: int = 0

    def __post_init__(self) -> None:
        self.now = self.time_stamp

    def word(self, type_len: int, delta: int, *more: int) -> None:
        self.data += struct.pack(f"<{1 + len(more)}I", delta << 5 | type_len, *more)

    def event(self, delta: int, payload: bytes) -> Page:
        """Add an event with its length in type_len: 4 to 112 bytes."""
        self.word(len(payload) // 4, delta)
        return self._payload(delta, payload)

    def long_event(self, delta: int, payload: bytes) -> Page:
        """Add an event with its length in array[0], which counts the word it stands in."""
        self.word(0, delta, 4 + len(payload))
        return self._payload(delta, payload)

    def _payload(self, delta: int, payload: bytes) -> Page:
        self.now += delta
        self.data += payload
        self.expected.append((self.now, payload))
        return self

    def discarded(self, delta: int, size: int) -> Page:
        """Add an event that was taken back after others had come behind it; their deltas count from it."""
        self.now += delta
        self.word(PADDING, delta, size)
        self.data += b"\xaa" * (size - 4)
        return self

    def rest_is_padding(self) -> Page:
        """Fill the page by padding whose length is not given."""
        self.word(PADDING, 0)
        self.data = self.data.ljust(PAGE_BYTES - HEADER_BYTES, b"\xff")
        return self

    def extend_time(self, delta: int) -> Page:
        self.now += delta
        self.word(TIME_EXTEND, delta & (1 << TS_SHIFT) - 1, delta >> TS_SHIFT)
        return self

    def stamp_time(self, time: int) -> Page:
        self.now = time
        self.word(TIME_STAMP, time & (1 << TS_SHIFT) - 1, time >> TS_SHIFT)
        return self

    def bytes(self, flags: int = 0, behind: bytes = b"") -> bytes:
        """Return the page; what lies behind its data is not to be looked at."""
        head = struct.pack("<QQ", self.time_stamp, len(self.data) | flags)
        return (head + self.data + behind).ljust(PAGE_BYTES, b"\x01")


def decoded(*pages: bytes) -> Payloads:
    return decode_pages(np.frombuffer(b"".join(pages), np.uint8).reshape(-1, PAGE_BYTES))


def found(payloads: Payloads, page: int, lengths: list[int]) -> list[tuple[int, bytes]]:
    """Return (time, payload) of the events of one page."""
    rows = np.flatnonzero(payloads.page == page)
    data = payloads.words.tobytes()
    starts = payloads.position[rows] * 4
    times = payloads.time[rows].tolist()
    parts = zip(times, starts.tolist(), lengths, strict=True)
    return [(time, data[start : start + length]) for time, start, length in parts]


def check(*pages: Page) -> None:
    payloads = decoded(*(page.bytes() for page in pages))
    for number, page in enumerate(pages):
        assert found(payloads, number, [len(p) for _, p in page.expected]) == page.expected
    assert payloads.page.tolist() == sorted(payloads.page.tolist())


def payload(length: int, seed: int = 0) -> bytes:
    return bytes((seed + i) % 256 for i in range(length))


def test_every_short_length() -> None:
    page = Page(1000)
    for words in range(1, 29):
        page.event(words, payload(4 * words, words))
    check(page)


@pytest.mark.parametrize("length", [4, 116, 120, 2000, PAGE_BYTES - HEADER_BYTES - 8])
def test_long_events(length: int) -> None:
    page = Page(5).long_event(3, payload(length))
    if len(page.data) < 2100:
        page.event(1, payload(8)).long_event(0, payload(length, 9))
    check(page)


def test_an_event_fills_the_page_to_its_end() -> None:
    page = Page(0)
    while len(page.data) + 16 <= PAGE_BYTES - HEADER_BYTES:
        page.event(1, payload(12))
    assert len(page.data) == PAGE_BYTES - HEADER_BYTES
    check(page, page)


def test_times_are_deltas_to_what_stands_before() -> None:
    check(Page(2**40).event(0, payload(4)).event((1 << TS_SHIFT) - 1, payload(4)).event(7, payload(4)))


def test_time_extensions_add_and_stamps_replace() -> None:
    page = Page(100).event(1, payload(8)).extend_time(5 << 40 | 3).event(2, payload(8))
    page.stamp_time(2**58 + 9).event(4, payload(8)).event(1, payload(4)).extend_time(0).event(0, payload(4))
    check(page)


def test_discarded_events_are_no_events_but_take_their_time() -> None:
    check(Page(10).event(1, payload(4)).discarded(6, 36).event(2, payload(4)).discarded(3, 4))


def test_padding_ends_the_page() -> None:
    check(Page(10).event(1, payload(40)).rest_is_padding(), Page(20).rest_is_padding(), Page(30))


def test_the_last_filler_of_a_full_page() -> None:
    # Behind the last event the kernel leaves padding with a length and a delta of 1 (rb_reset_tail).
    page = Page(10).event(1, payload(40))
    page.discarded(1, PAGE_BYTES - HEADER_BYTES - len(page.data) - 4)
    check(page, Page(11).event(0, payload(4)))


def test_pages_of_different_lengths_side_by_side() -> None:
    check(
        Page(1).event(1, payload(4)),
        Page(2),
        Page(3).event(1, payload(4)).long_event(5, payload(200)).event(1, payload(16)),
        Page(4).stamp_time(77).event(1, payload(8)),
    )


def test_no_events_at_all() -> None:
    for pages in ([], [Page(1).bytes()], [Page(1).rest_is_padding().bytes()]):
        payloads = decoded(*pages)
        assert len(payloads.position) == len(payloads.time) == len(payloads.page) == 0


@pytest.mark.parametrize("flags", [EVENTS_MISSED, EVENTS_MISSED | MISSED_STORED])
def test_a_count_of_missed_events_is_no_event(flags: int) -> None:
    page = Page(1).event(1, payload(8))
    missed = struct.pack("<Q", 12345) if flags & MISSED_STORED else b""
    payloads = decoded(page.bytes(flags, missed))
    assert found(payloads, 0, [8]) == page.expected


def test_fields_of_every_width() -> None:
    data = struct.pack("<HBBiQQI", 0xF00D, 1, 2, -3, 2**64 - 2, 1 << 63 | 5, 2**32 - 1)
    payloads = decoded(Page(0).event(0, payload(4)).event(0, data).bytes()).take(np.array([1]))
    assert payloads.u16(0).tolist() == [0xF00D]
    assert payloads.u16(2).tolist() == [0x0201]
    assert payloads.u32(4).tolist() == [2**32 - 3]
    assert payloads.u64(8).tolist() == [2**64 - 2]
    assert payloads.u64(16).tolist() == [1 << 63 | 5]
    assert payloads.u32(24).tolist() == [2**32 - 1]


def test_a_long_field_may_stand_on_half_a_long() -> None:
    data = struct.pack("<IQ", 7, 1 << 63 | 2**32 | 9)
    assert decoded(Page(0).event(0, data).bytes()).u64(4).tolist() == [1 << 63 | 2**32 | 9]


def test_taking_keeps_events_together() -> None:
    payloads = decoded(
        Page(5).event(1, payload(4, 1)).event(1, payload(4, 2)).event(1, payload(4, 3)).bytes()
    )
    taken = payloads.take(np.array([2, 0]))
    assert taken.time.tolist() == [8, 6]
    assert taken.u32(0).tolist() == payloads.u32(0)[[2, 0]].tolist()


@pytest.mark.parametrize("seed", range(20))
def test_random_pages(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pages = [Page(int(rng.integers(2**50))) for _ in range(rng.integers(1, 9))]
    for page in pages:
        kinds: list[Callable[[int], Page]] = [
            lambda n, p=page: p.event(n, payload(4 * (1 + n % 28), n)),  # type: ignore[misc]
            lambda n, p=page: p.long_event(n, payload(4 * (1 + n % 60), n)),  # type: ignore[misc]
            lambda n, p=page: p.discarded(1 + n, 4 * (1 + n % 9)),  # type: ignore[misc]
            lambda n, p=page: p.extend_time(n << 20),  # type: ignore[misc]
            lambda n, p=page: p.stamp_time(p.now + n),  # type: ignore[misc]
        ]
        for _ in range(rng.integers(0, 14)):
            kinds[rng.integers(len(kinds))](int(rng.integers(1000)))
        if rng.integers(2):
            page.rest_is_padding()
    check(*pages)
