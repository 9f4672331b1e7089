# SPDX-License-Identifier: GPL-2.0-or-later
"""Direct reads of which several were under way at a time, held against the model call by call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence, Set
from errno import EAGAIN

import crc32c

from harness.bundle import Table
from harness.direct_io.calls import recorded_calls
from harness.direct_io.chains import chains_of, match_reads
from harness.direct_io.concurrent import PredictedCall, predict_calls
from harness.direct_io.jobs import JobTotals
from harness.direct_io.reads import POISON
from harness.direct_io.record import DirectRead, Layout
from harness.judge.direct_io_compare import (
    Compared,
    DirectReadsJudgement,
    ReaderFactory,
    Tally,
    differing,
    memory_after,
    returned_text,
    same_bios,
)
from reference.direct_io.mainline import Bio, BioKind, How
from reference.readahead.source import Stripe

__all__ = ["SETS", "judge_calls"]

TOTALS = "fio's totals"
CHECKS = (
    "calls",
    "return values",
    "memory",
    "direct calls",
    "direct results",
    "bios",
    "cached pages",
    TOTALS,
)
SETS = "calls of which others under way left more than one outcome open"


def judge_calls(
    layout: Layout, reads: Sequence[DirectRead], events: Table, make: ReaderFactory
) -> DirectReadsJudgement:
    """Make a check of each kind over all calls; `reads` are those whose memory was kept, if any were."""
    tally = Tally(CHECKS)
    recorded = recorded_calls(layout, events)
    chains = chains_of(recorded.calls)
    if reads:
        for wrong in match_reads(chains, reads):
            tally.add("calls", 1, wrong)
    tally.add("calls", len(recorded.calls), None)
    ends = _Ends()
    sets = 0
    for predicted in predict_calls(layout, recorded, chains, make):
        sets += bool(predicted.freedom)
        for check, count, difference in (*_compare(predicted), *ends.compare(predicted)):
            tally.add(check, count, _text(predicted, check, difference) if difference else None)
    for different in _totals(layout.jobs, ends):
        tally.add(TOTALS, 1, different)
    return DirectReadsJudgement(tuple(tally.checks()), {SETS: sets} if sets else {})


class _Ends:
    """What reads came to in the end, each by one call or more."""

    def __init__(self) -> None:
        self.memory: dict[int, list[tuple[int, memoryview | int]]] = {}
        self.count: Counter[int] = Counter()
        self.bytes: Counter[int] = Counter()

    def compare(self, predicted: PredictedCall) -> Iterator[Compared]:
        """Note what a call returns; if it is the last of its read, compare what the read comes to."""
        chain, place = predicted.chain, predicted.place
        writes = self.memory.setdefault(chain.first.begin, [])
        writes += predicted.outcome.writes
        if place + 1 < len(chain.calls):
            return
        del self.memory[chain.first.begin]
        returned, before = predicted.outcome.returned, chain.done_before(place)
        total = returned + before if returned >= 0 else before or returned
        self.count[chain.first.phase] += 1
        self.bytes[chain.first.phase] += max(total, 0)
        if chain.read is None:
            return
        same = total == chain.read.returned
        yield "return values", 1, None if same else (returned_text(total), returned_text(chain.read.returned))
        if total >= 0:
            digest = crc32c.crc32c(memory_after(POISON, chain.read.memory_bytes, writes))
            same = digest == chain.read.digest
            yield "memory", 1, None if same else (f"{digest:08x}", f"{chain.read.digest:08x}")


def _compare(predicted: PredictedCall) -> Iterator[Compared]:
    call, outcome, seen = predicted.call, predicted.outcome, predicted.call.seen
    if call.nowait:
        yield "return values", 1, _without_waiting(predicted)
    yield "direct calls", len(predicted.direct) or 1, differing(predicted.direct, seen.direct)
    if call.all_ended:
        # Each part returns what the ones before it had done, too, if it did something.
        kernel = next((result for result in reversed(call.results) if result), 0)
        model = _done_directly(predicted)
        yield "direct results", 1, differing([returned_text(model)], [returned_text(kernel)])
    cuts = predicted.freedom.cuts
    same = same_bios(_sewn(outcome.bios, cuts), outcome.longest_buffered, _sewn(seen.bios, cuts))
    yield "bios", len(outcome.bios) or 1, None if same else differing(outcome.bios, seen.bios)
    yield "cached pages", len(outcome.pages) or 1, differing(outcome.pages, seen.pages)


def _done_directly(predicted: PredictedCall) -> int:
    """Return how many bytes were read before the page cache was turned to, or -errno."""
    outcome = predicted.outcome
    buffered = [part.start for part in outcome.parts if part.how is How.BUFFERED]
    return buffered[0] - predicted.call.offset if buffered else outcome.returned


def _without_waiting(predicted: PredictedCall) -> tuple[str, str] | None:
    """Compare what a call that must not wait returned with whether another one went on, and where."""
    call, model = predicted.call, predicted.outcome.returned
    observed = predicted.chain.observed(predicted.place)
    if predicted.freedom.arriving:
        right = observed is None or observed == -EAGAIN or 0 < observed < call.length
    elif observed is None:
        right = model != -EAGAIN or _is_handed_on(predicted)
    else:
        right = observed == model
    return (
        None if right else (returned_text(model), "went on" if observed is None else returned_text(observed))
    )


def _is_handed_on(predicted: PredictedCall) -> bool:
    """Whether a call that must not wait may have been the last of its read, though it came to EAGAIN.

    A direct read that has begun and then would have to wait ends in a worker of the file system's, where
    io_uring does not make it again (`io_rw_should_reissue`, io_uring/io_uring.c): its caller gets the EAGAIN.
    Seen on 5.10, which reads block by block.
    """
    read = predicted.chain.read
    return bool(predicted.outcome.submitted) and (read is None or read.returned == -EAGAIN)


def _sewn(bios: Sequence[Bio], cuts: Set[Stripe]) -> list[Bio]:
    """Put together bios that touch where they may as well be one."""
    sewn: list[Bio] = []
    for bio in bios:
        before = sewn[-1] if sewn else None
        touches = before and before[:2] == bio[:2] and before.physical + before.length == bio.physical
        if before and touches and bio.kind is BioKind.DIRECT and Stripe(bio.devid, bio.physical) in cuts:
            sewn[-1] = before._replace(length=before.length + bio.length)
        else:
            sewn.append(bio)
    return sewn


def _totals(jobs: Sequence[JobTotals], ends: _Ends) -> Iterator[str | None]:
    for job in jobs:
        model = ends.count[job.phase], ends.bytes[job.phase]
        wrong = f"job {job.name}: reads and bytes: model {model}, fio {(job.reads, job.bytes)}"
        yield None if model == (job.reads, job.bytes) else wrong


def _text(predicted: PredictedCall, check: str, difference: tuple[str, str]) -> str:
    chain, call = predicted.chain, predicted.call
    read = f"read {chain.number}, " if chain.read else ""
    how = f"call {predicted.place + 1} of {len(chain.calls)}" + (", without waiting" if call.nowait else "")
    where = f"{call.length} bytes at {call.offset} of file {call.file}"
    return (
        f"{read}{how}, phase {call.phase}, thread {call.tid}, {where}: "
        f"{check}: model {difference[0]}, kernel {difference[1]}"
    )
