# SPDX-License-Identifier: GPL-2.0-or-later
"""What the model says of reads that were recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import crc32c

from harness.direct_io.damage import CopyState, damage_data
from harness.direct_io.record import DirectRead, Layout
from harness.direct_io.seen import Seen
from reference.direct_io.mainline import DirectCall, Outcome, Reader, Timing
from reference.direct_io.source import Request

__all__ = ["Predicted", "predict_reads"]


@dataclass
class Predicted:
    """What the model says of a read."""

    outcome: Outcome
    direct: list[DirectCall]

    def digest_after(self, copy: CopyState) -> int:
        """Return the CRC-32C of what a copy holds after the read."""
        left = copy.damaged and copy.stripe not in self.outcome.completion.repaired
        return crc32c.crc32c(damage_data(copy.stripe)) if left else copy.before


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
    layout.contents.damaged = {copy.stripe: damage_data(copy.stripe) for copy in read.copies if copy.damaged}
    length = sum(length for _, length in read.iov)
    request = Request(read.offset, read.iov, length, pid=read.tid)
    outcome = reader.read(request, nowait=read.nowait, timing=Timing(bios, error_lost=read.returned >= 0))
    return Predicted(outcome, outcome.direct)


def _queued(predicted: Predicted) -> Predicted:
    """Of an asynchronous read that is direct to its end nothing is tried again, unless it ends at once."""
    outcome = predicted.outcome
    if outcome.submitted and not outcome.pages and len(outcome.direct) > 1:
        return replace(predicted, direct=predicted.direct[:1])
    return predicted
