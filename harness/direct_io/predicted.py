# SPDX-License-Identifier: GPL-2.0-or-later
"""What the model says of reads that were recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from errno import EIO

import crc32c

from harness.direct_io.damage import CopyState, damage_data
from harness.direct_io.record import DirectRead, Layout
from harness.direct_io.seen import Seen
from reference.direct_io.mainline import (
    Bio,
    Completion,
    DirectCall,
    Outcome,
    Reader,
    complete,
    error_may_be_lost,
)
from reference.direct_io.source import Request
from reference.readahead.source import Stripe

__all__ = ["Predicted", "predict_reads"]


@dataclass
class Predicted:
    """What the model says of a read."""

    outcome: Outcome
    returned: int
    """Bytes, or -errno."""
    bios: list[Bio]
    direct: list[DirectCall]
    completion: Completion = field(default_factory=Completion)
    error_lost: bool = False
    """Whether blocks could not be had, and the caller is not told: there are zeros in their place."""

    def digest_after(self, copy: CopyState) -> int:
        """Return the CRC-32C of what a copy holds after the read."""
        left = copy.damaged and copy.stripe not in self.completion.repaired
        return crc32c.crc32c(damage_data(copy.stripe)) if left else copy.before


def predict_reads(
    layout: Layout,
    reads: Sequence[DirectRead],
    seen: Mapping[int, Seen],
    make: Callable[[Layout, int], Reader],
) -> Iterator[tuple[DirectRead, Predicted]]:
    """Yield each read with what the model says of it.

    Of what the kernel did, the model is told how many bios were submitted before an error ended a read, and
    whether an asynchronous one was still under way when the kernel looked.
    """
    readers: dict[int, Reader] = {}
    for number, read in enumerate(reads):
        if read.file not in readers:
            readers[read.file] = make(layout, read.file)
        predicted = _predict(layout, readers[read.file], read, len(seen[number].bios))
        yield read, _queued(predicted) if read.aio and len(seen[number].direct) == 1 else predicted


def _predict(layout: Layout, reader: Reader, read: DirectRead, bios: int) -> Predicted:
    if read.cached:
        reader.cache.drop(read.drop_from, read.drop_from + read.drop_bytes)
    else:
        reader.cache.drop()
    damaged = {copy.stripe: damage_data(copy.stripe) for copy in read.copies if copy.damaged}
    layout.contents.damaged = damaged
    length = sum(length for _, length in read.iov)
    outcome = reader.read(Request(read.offset, read.iov, length, pid=read.tid), nowait=read.nowait)
    whole = Predicted(outcome, outcome.returned, outcome.bios, outcome.direct)
    if not damaged or layout.files[read.file].nodatasum:
        return whole
    return _completed(layout, reader, whole, set(damaged), read.returned, bios)


def _queued(predicted: Predicted) -> Predicted:
    """Of an asynchronous read that is direct to its end nothing is tried again, unless it ends at once."""
    outcome = predicted.outcome
    if outcome.submitted and not outcome.pages and len(outcome.direct) > 1:
        return replace(predicted, direct=predicted.direct[:1])
    return predicted


def _completed(
    layout: Layout, reader: Reader, whole: Predicted, damaged: set[Stripe], returned: int, bios: int
) -> Predicted:
    """End the bios. One that fails may do so before others are submitted, and then they are not.

    Whether an error can be lost says the model; whether it was, the kernel.
    """
    submitted, behaviour = whole.outcome.submitted, reader.behaviour
    completion = complete(submitted, layout.volume, damaged, behaviour)
    if not completion.failed:
        return replace(whole, completion=completion)
    may_be_lost = behaviour.loses_errors and error_may_be_lost(submitted, completion.failed)
    if may_be_lost and returned >= 0:
        return replace(whole, completion=completion, error_lost=True)
    submitted = submitted[: max(bios, min(completion.failed) + 1)]
    completion = complete(submitted, layout.volume, damaged, behaviour)
    # An error ends the read with the first call.
    done = [one.bio for one in submitted]
    return replace(whole, returned=-EIO, bios=done, direct=whole.direct[:1], completion=completion)
