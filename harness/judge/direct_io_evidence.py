# SPDX-License-Identifier: GPL-2.0-or-later
"""Which recorded reads tell how a kernel behaves: those that another value of a field would not explain.

The reads are replayed once with the behaviour that the kernel is judged by, and once more for each field and
each other value that it has in some kernel, from the first read on. A read decides a field if it is as
predicted, and would not be with any other value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, cast

from harness.bundle import Bundle
from harness.direct_io.events import EVENTS_FILE
from harness.direct_io.predicted import predict_reads
from harness.direct_io.record import DirectRead, Layout, load_layout, load_reads
from harness.direct_io.seen import Seen, seen_by_read
from harness.judge.behaviour_fields import other_values, said_of
from harness.judge.direct_io import compare, mainline_reader
from harness.verdicts import Evidence
from reference.direct_io.mainline import Behaviour, Reader

__all__ = ["MOST_READS", "bundle_evidence", "evidence_of"]

MOST_READS = 600
"""So many reads of a case are looked at: to replay all of a longer one takes as long as to record it."""

MOST_QUESTIONS = 30_000
"""More than a read asks of its behaviour."""


def bundle_evidence(bundle: Bundle) -> tuple[Evidence, ...]:
    """Return what a bundle's direct reads tell; nothing if it has none, or if events were lost.

    Nor where several are under way at a time: of these, what is right is a set.
    Raises UnknownBehaviourError for a kernel that the model does not know.
    """
    if not bundle.has(EVENTS_FILE) or bundle.manifest["capture"]["lost"]:
        return ()
    layout = load_layout(bundle)
    reads, events = load_reads(bundle)
    if not reads or layout.by_call:
        return ()
    seen = seen_by_read(layout, reads, events)
    return evidence_of(layout, reads, seen, mainline_reader(layout, reads[0].file).behaviour)


def evidence_of(
    layout: Layout, reads: Sequence[DirectRead], seen: Mapping[int, Seen], behaviour: Behaviour
) -> tuple[Evidence, ...]:
    """Return for each field of `behaviour`, with which the reads were judged, how many of them decide it."""
    reads = reads[:MOST_READS]
    watched = _Watched(behaviour)
    as_predicted = list(_as_predicted(layout, reads, seen, watched))
    found = []
    for field in fields(behaviour):
        others = [
            # What was never asked for makes no difference.
            list(_as_predicted(layout, reads, seen, _Watched(replace(behaviour, **{field.name: other}))))
            if field.name in watched.asked_for
            else as_predicted
            for other in other_values(behaviour, field.name)
        ]
        ways = list(zip(as_predicted, *others, strict=True)) if others else []
        decided = sum(own and not any(rest) for own, *rest in ways)
        against = sum(not own and any(rest) for own, *rest in ways)
        said = said_of(Behaviour).get(field.name, "")
        value = getattr(behaviour, field.name)
        found.append(Evidence(field.name, value, said, len(ways), decided, against))
    return tuple(found)


class _Watched:
    """A behaviour that notes which of its fields are asked for."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self.asked_for: set[str] = set()
        self.count = 0
        """How often one was asked for in a read."""

    def __getattr__(self, name: str) -> Any:
        self.asked_for.add(name)
        self.count += 1
        if self.count > MOST_QUESTIONS:
            # No kernel has these fields together, and a loop of the model need not end then.
            raise KeyError(name)
        return getattr(self._behaviour, name)


def _as_predicted(
    layout: Layout, reads: Sequence[DirectRead], seen: Mapping[int, Seen], behaviour: _Watched
) -> Iterator[bool]:
    """Yield of each read whether the kernel did it as this behaviour has it."""

    def make(_: Layout, number: int) -> Reader:
        return Reader(layout.files[number], layout.volume, layout.contents, cast(Behaviour, behaviour))

    done = 0
    try:
        for number, (read, predicted) in enumerate(predict_reads(layout, reads, seen, make)):
            yield not any(difference for _, _, difference in compare(read, seen[number], predicted))
            done += 1
            behaviour.count = 0
    except KeyError:
        # It reads what the file does not have. What it would make of later reads cannot be told, so these
        # are to decide nothing.
        yield False
        yield from (True for _ in reads[done + 1 :])
