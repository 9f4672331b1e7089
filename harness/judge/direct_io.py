# SPDX-License-Identifier: GPL-2.0-or-later
"""Direct reads held against the model of mainline: bytes, return value, way, bios and repairs of each."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import crc32c

from harness.bundle import Bundle, Table
from harness.direct_io.events import EVENTS_FILE
from harness.direct_io.predicted import Predicted, predict_reads
from harness.direct_io.reads import POISON
from harness.direct_io.record import DirectRead, Layout, load_layout, load_reads
from harness.direct_io.seen import Seen, seen_by_read
from harness.judge.direct_io_calls import judge_calls
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
from harness.judge.known_issues import KNOWN_ISSUE
from reference.direct_io.mainline import Behaviour, Bio, Reader, behaviour_of

__all__ = [
    "LOST_ERROR",
    "DirectReadsJudgement",
    "ReaderFactory",
    "compare",
    "judge_direct_reads",
    "judge_reads",
    "mainline_reader",
]

CHECKS = ("return values", "memory", "direct calls", "bios", "repairs", "copies on disk", "cached pages")
STATISTICS, READ_ERRS = "corruption_errs", "read_io_errs"

LOST_ERROR = f"{KNOWN_ISSUE}: the error of a part of a bio is lost"
"""docs/known-issues.md"""


def judge_direct_reads(bundle: Bundle) -> DirectReadsJudgement:
    """Judge a bundle's direct reads; no checks if it has none.

    Raises UserError for damaged files, UnknownBehaviourError for a kernel that the model does not know.
    """
    if not bundle.has(EVENTS_FILE) or bundle.manifest["capture"]["lost"]:
        return DirectReadsJudgement()
    layout = load_layout(bundle)
    reads, events = load_reads(bundle)
    if layout.by_call:
        judgement = judge_calls(layout, reads, events, mainline_reader)
    else:
        judgement = judge_reads(layout, reads, events)
    return _with_way_to_shrink(judgement, bundle) if layout.plan and not layout.by_call else judgement


def _with_way_to_shrink(judgement: DirectReadsJudgement, bundle: Bundle) -> DirectReadsJudgement:
    """Have the first check that failed say what makes it small."""
    checks = list(judgement.checks)
    number = next((n for n, check in enumerate(checks) if check.wrong), None)
    if number is not None:
        way = f"to make it small: ./iodiff shrink {shlex.quote(str(bundle.path))}"
        checks[number] = replace(checks[number], detail="; ".join(filter(None, (checks[number].detail, way))))
    return replace(judgement, checks=tuple(checks))


def mainline_reader(layout: Layout, number: int) -> Reader:
    """Return the model of one of the files, as of the kernel that was recorded; UnknownBehaviourError."""
    features = layout.features
    behaviour = Behaviour.linux_6_18 if features is None else behaviour_of(features)
    return Reader(layout.files[number], layout.volume, layout.contents, behaviour)


def judge_reads(
    layout: Layout, reads: Sequence[DirectRead], events: Table, make: ReaderFactory = mainline_reader
) -> DirectReadsJudgement:
    """Make a check of each kind over all reads."""
    tally = Tally((*CHECKS, STATISTICS, READ_ERRS))
    errors_lost = 0
    first: dict[str, int] = {}
    errors: Counter[tuple[str, int]] = Counter()
    seen = seen_by_read(layout, reads, events)
    for number, (read, predicted) in enumerate(predict_reads(layout, reads, seen, make)):
        completion = predicted.outcome.completion
        for name, counted in ((STATISTICS, completion.corruption_errs), (READ_ERRS, completion.read_errs)):
            errors.update({(name, devid): count for devid, count in counted.items()})
        errors_lost += predicted.outcome.error_lost
        for check, count, difference in compare(read, seen[number], predicted):
            tally.add(check, count, _text(number, read, check, difference) if difference else None)
            if difference:
                first.setdefault(check, number)
    if any(read.copies for read in reads):
        for name, counts_ in ((STATISTICS, layout.corruption_errs), (READ_ERRS, layout.read_errs)):
            for devid in layout.volume.present if counts_ is not None else ():
                model, kernel = errors[name, devid], (counts_ or {}).get(devid, 0)
                wrong = f"device {devid}: {name}: model {model}, kernel {kernel}"
                tally.add(name, 1, wrong if model != kernel else None)
    if errors_lost:
        tally.remarks[CHECKS[0]] = f"known issue: {errors_lost} reads of bad blocks gave zeros and no error"
    counts = {LOST_ERROR: errors_lost} if errors_lost else {}
    return DirectReadsJudgement(tuple(tally.checks()), counts, first)


def _text(number: int, read: DirectRead, check: str, difference: tuple[str, str]) -> str:
    vectors = ", ".join(f"{length} at {base:#x}" for base, length in read.iov)
    damage = "".join(f", {c.physical} of device {c.devid} damaged" for c in read.copies if c.damaged)
    return (
        f"read {number} of file {read.file} at {read.offset} ({vectors}{damage}): "
        f"{check}: model {difference[0]}, kernel {difference[1]}"
    )


def compare(read: DirectRead, seen: Seen, predicted: Predicted) -> Iterator[Compared]:
    """Hold what the kernel did for a read against what the model says of it."""
    outcome = predicted.outcome
    same = outcome.returned == read.returned
    wrong = (returned_text(outcome.returned), returned_text(read.returned))
    yield "return values", 1, None if same else wrong
    if outcome.returned >= 0 and not outcome.memory_unknown:
        # What memory holds after an error is nobody's business.
        digest = crc32c.crc32c(memory_after(POISON, read.memory_bytes, outcome.writes))
        yield "memory", 1, None if digest == read.digest else (f"{digest:08x}", f"{read.digest:08x}")
    yield "direct calls", len(predicted.direct) or 1, differing(predicted.direct, seen.direct)
    same = same_bios(outcome.bios, outcome.longest_buffered, seen.bios)
    yield "bios", len(outcome.bios) or 1, None if same else differing(outcome.bios, seen.bios)
    done = outcome.completion
    # Blocks are repaired by workers, at the same time.
    model = [*_told("read", done.reads), *_told("write", done.writes)]
    kernel = [*_told("read", seen.repair_reads), *_told("write", seen.repair_writes)]
    yield "repairs", len(model) or 1, differing(model, kernel)
    yield "cached pages", len(outcome.pages) or 1, differing(outcome.pages, seen.pages)
    yield from _copies_on_disk(read, predicted)


def _copies_on_disk(read: DirectRead, predicted: Predicted) -> Iterator[Compared]:
    """Each copy of a damaged block holds what it held before, or the damage if it was not repaired."""
    for copy in read.copies:
        digests = predicted.digests_after(copy)
        where = f"{copy.physical} of device {copy.devid} holds"
        told = " or ".join(f"{digest:08x}" for digest in sorted(digests))
        yield "copies on disk", 1, None if copy.after in digests else (f"{where} {told}", f"{copy.after:08x}")


def _told(what: str, bios: Sequence[Bio]) -> list[tuple[str, Bio]]:
    return sorted((what, bio) for bio in bios)
