# SPDX-License-Identifier: GPL-2.0-or-later
"""What the model says of reads that were recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import crc32c

from harness.direct_io.damage import CopyState, Damage, damage_data
from harness.direct_io.record import DirectRead, Layout
from harness.direct_io.seen import Seen
from reference.direct_io.mainline import DirectCall, Outcome, Reader, Timing
from reference.direct_io.source import Request
from reference.readahead.source import Stripe

__all__ = ["Predicted", "predict_reads"]


@dataclass
class Predicted:
    """What the model says of a read."""

    outcome: Outcome
    direct: list[DirectCall]
    damaged: Mapping[Stripe, bytes]
    """Blocks of devices that have other data after the read, and what."""

    def digests_after(self, copy: CopyState) -> set[int]:
        """Return the CRC-32C of what a copy may hold after the read."""
        overwritten = self.outcome.completion.overwritten.get(copy.stripe)
        if overwritten is not None:
            return set(map(crc32c.crc32c, overwritten))
        left = self.damaged.get(copy.stripe)
        return {copy.before if left is None else crc32c.crc32c(left)}


def predict_reads(
    layout: Layout,
    reads: Sequence[DirectRead],
    seen: Mapping[int, Seen],
    make: Callable[[Layout, int], Reader],
) -> Iterator[tuple[DirectRead, Predicted]]:
    """Yield each read with what the model says of it.

    Of what the kernel did, the model is told how many bios were submitted before an error ended a read,
    whether an error that can be lost was, and whether an asynchronous read was still under way when the
    kernel looked.
    """
    readers: dict[int, Reader] = {}
    lasting: dict[Stripe, bytes] = {}
    for number, read in enumerate(reads):
        if read.file not in readers:
            readers[read.file] = make(layout, read.file)
        if not read.follows:
            _damage(layout, read, lasting)
        healed = dict(layout.contents.damaged)
        predicted = _predict(layout, readers[read.file], read, seen[number])
        # What was damaged is healed some time; what the kernel has overwritten besides stays so.
        written = predicted.outcome.completion.overwritten
        lasting |= {place: data[0] for place, data in written.items() if place not in healed}
        # What follows finds what this one has left.
        layout.contents.damaged = dict(predicted.damaged)
        yield read, _queued(predicted) if read.aio and len(seen[number].direct) == 1 else predicted


def _predict(layout: Layout, reader: Reader, read: DirectRead, seen: Seen) -> Predicted:
    if read.cached:
        reader.cache.drop(read.drop_from, read.drop_from + read.drop_bytes)
    else:
        reader.cache.drop()
    length = sum(length for _, length in read.iov)
    request = Request(read.offset, read.iov, length, pid=read.tid)
    in_all = len(seen.bios) + len(seen.repair_reads)
    timing = Timing(len(seen.bios), read.returned, in_all)
    outcome = reader.read(request, nowait=read.nowait, timing=timing)
    left = _left(layout.contents.damaged, outcome.completion.repaired)
    left |= {place: data[0] for place, data in outcome.completion.overwritten.items()}
    return Predicted(outcome, outcome.direct, left)


def _left(damaged: Mapping[Stripe, bytes], repaired: Mapping[Stripe, Stripe]) -> dict[Stripe, bytes]:
    """Return what is damaged after blocks were written over, with what others had."""
    left = {place: data for place, data in damaged.items() if place not in repaired}
    return left | {place: damaged[source] for place, source in repaired.items() if source in damaged}


def _damage(layout: Layout, read: DirectRead, lasting: Mapping[Stripe, bytes]) -> None:
    damaged = [copy for copy in read.copies if copy.damaged]
    layout.contents.damaged = dict(lasting) | {copy.stripe: damage_data(copy.stripe) for copy in damaged}
    layout.contents.unreadable = {c.stripe for c in damaged if c.damaged is Damage.UNREADABLE}


def _queued(predicted: Predicted) -> Predicted:
    """Of an asynchronous read that is direct to its end nothing is tried again, unless it ends at once."""
    outcome = predicted.outcome
    if outcome.submitted and not outcome.pages and len(outcome.direct) > 1:
        return replace(predicted, direct=predicted.direct[:1])
    return predicted
