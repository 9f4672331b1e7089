# SPDX-License-Identifier: GPL-2.0-or-later
"""Which calls belong to one read: io_uring tries without waiting, and has a worker do the rest."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from errno import EAGAIN

from harness.direct_io.calls import Call
from harness.direct_io.record import DirectRead
from reference.direct_io.source import IoVec

__all__ = ["Chain", "chains_of", "match_reads", "vectors_from"]


@dataclass
class Chain:
    """The calls that one read came to, in order."""

    calls: list[Call]
    read: DirectRead | None = None
    """What was asked for, where that is known."""
    number: int = -1
    """Of the read."""
    returned: dict[int, int] = field(default_factory=dict)
    """By the place of a call in the chain, what the model says it returned."""

    @property
    def first(self) -> Call:
        """The call that was made first."""
        return self.calls[0]

    def done_before(self, place: int) -> int:
        """Return how many bytes the calls before one have read."""
        return self.calls[place].offset - self.first.offset

    def observed(self, place: int) -> int | None:
        """Return what a call returned, as the next one shows: bytes, or -EAGAIN; None for the last one."""
        if place + 1 == len(self.calls):
            return None
        return self.calls[place + 1].offset - self.calls[place].offset or -EAGAIN

    def vectors(self, place: int) -> list[IoVec]:
        """Return the memory of a call: what is not known lies as alignment asks for."""
        call = self.calls[place]
        if self.read is None:
            return [IoVec(0, call.length)]
        return vectors_from(self.read.iov, self.done_before(place)) if place else list(self.read.iov)


def chains_of(calls: Iterable[Call]) -> list[Chain]:
    """Return the chains, in the order in which they begin."""
    found: list[Chain] = []
    latest: dict[int, Chain] = {}
    for call in calls:
        chain = latest.get(call.iocb)
        if chain is not None and _goes_on(chain.calls[-1], call):
            chain.calls[-1].ended_by(call.begin)
            chain.calls.append(call)
        else:
            latest[call.iocb] = Chain([call])
            found.append(latest[call.iocb])
    return found


def _goes_on(before: Call, call: Call) -> bool:
    """Whether a call does what is left of one that was not to wait (`io_read`, `io_wq_submit_work`)."""
    same = (before.phase, before.file, before.last) == (call.phase, call.file, call.last)
    if not before.nowait or call.nowait or not same or call.offset < before.offset:
        return False
    if before.results and before.results[-1] >= 0:
        return before.results[-1] == call.offset - before.offset < before.length
    return True


def match_reads(chains: Sequence[Chain], reads: Sequence[DirectRead]) -> Iterator[str]:
    """Give each chain its read; yield what is wrong where they do not match one to one.

    Reads of one range of a file that are under way at a time have the same memory, so any of them will do.
    """
    waiting: defaultdict[tuple[int, int, int], deque[int]] = defaultdict(deque)
    for number, read in enumerate(reads):
        waiting[read.file, read.offset, sum(length for _, length in read.iov)].append(number)
    for chain in chains:
        first = chain.first
        numbers = waiting[first.file, first.offset, first.length]
        if numbers:
            chain.number = numbers.popleft()
            chain.read = reads[chain.number]
        else:
            yield f"{first.length} bytes at {first.offset} of file {first.file}: a call that nobody asked for"
    for numbers in waiting.values():
        yield from (f"read {number}: no call was seen" for number in numbers)


def vectors_from(vectors: Sequence[IoVec], done: int) -> list[IoVec]:
    """Return what is left of vectors when `done` bytes are read: no empty one first (`iov_iter_advance`)."""
    left = list(vectors)
    while left and done >= left[0].iov_len:
        done -= left.pop(0).iov_len
    if done:
        base, length = left[0]
        left[0] = IoVec(base + done, length - done)
    return left
