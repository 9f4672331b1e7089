# SPDX-License-Identifier: GPL-2.0-or-later
"""Direct reads held against the model of mainline: bytes, return value, way, bios and repairs of each."""

from __future__ import annotations

import os
import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import crc32c

from harness.bundle import Bundle, Table
from harness.direct_io.events import EVENTS_FILE
from harness.direct_io.predicted import Predicted, predict_reads
from harness.direct_io.reads import POISON
from harness.direct_io.record import DirectRead, Layout, load_layout, load_reads
from harness.direct_io.seen import Seen, seen_by_read
from harness.judge.known_issues import KNOWN_ISSUE
from harness.verdicts import Check, Difference
from reference.direct_io.mainline import Behaviour, Bio, BioKind, Outcome, Reader, behaviour_of

__all__ = [
    "BIO_MAX_BYTES",
    "LOST_ERROR",
    "DirectReadsJudgement",
    "ReaderFactory",
    "judge_direct_reads",
    "judge_reads",
    "mainline_reader",
    "memory_after",
]

BIO_MAX_BYTES = 256 * 4096
"""A bio of 256 pages; one of more is full when it has met as many pages that do not lie side by side."""
CHECKS = ("return values", "memory", "direct calls", "bios", "repairs", "copies on disk", "cached pages")
STATISTICS, READ_ERRS = "corruption_errs", "read_io_errs"

LOST_ERROR = f"{KNOWN_ISSUE}: the error of a part of a bio is lost"
"""docs/known-issues.md"""

ReaderFactory = Callable[[Layout, int], Reader]


@dataclass(frozen=True)
class DirectReadsJudgement:
    """What came of judging direct reads."""

    checks: tuple[Check, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    first_wrong: Mapping[str, int] = field(default_factory=dict)
    """By check, the number of the first read that is not as predicted; of those that go by reads."""


def judge_direct_reads(bundle: Bundle) -> DirectReadsJudgement:
    """Judge a bundle's direct reads; no checks if it has none.

    Raises UserError for damaged files, UnknownBehaviourError for a kernel that the model does not know.
    """
    if not bundle.has(EVENTS_FILE) or bundle.manifest["capture"]["lost"]:
        return DirectReadsJudgement()
    layout = load_layout(bundle)
    reads, events = load_reads(bundle)
    judgement = judge_reads(layout, reads, events)
    return _with_way_to_shrink(judgement, bundle) if layout.plan else judgement


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
    tally = _Tally()
    errors: Counter[tuple[str, int]] = Counter()
    seen = seen_by_read(layout, reads, events)
    for number, (read, predicted) in enumerate(predict_reads(layout, reads, seen, make)):
        completion = predicted.outcome.completion
        for name, counted in ((STATISTICS, completion.corruption_errs), (READ_ERRS, completion.read_errs)):
            errors.update({(name, devid): count for devid, count in counted.items()})
        tally.errors_lost += predicted.outcome.error_lost
        for check, count, difference in _compare(read, seen[number], predicted):
            tally.add(check, count, _text(number, read, check, difference) if difference else None)
            if difference:
                tally.first.setdefault(check, number)
    if any(read.copies for read in reads):
        for name, counts_ in ((STATISTICS, layout.corruption_errs), (READ_ERRS, layout.read_errs)):
            for devid in layout.volume.present if counts_ is not None else ():
                model, kernel = errors[name, devid], (counts_ or {}).get(devid, 0)
                wrong = f"device {devid}: {name}: model {model}, kernel {kernel}"
                tally.add(name, 1, wrong if model != kernel else None)
    counts = {LOST_ERROR: tally.errors_lost} if tally.errors_lost else {}
    return DirectReadsJudgement(tuple(tally.checks()), counts, tally.first)


@dataclass
class _Tally:
    errors_lost: int = 0
    first: dict[str, int] = field(default_factory=dict)
    compared: Counter[str] = field(default_factory=Counter)
    wrong: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, check: str, count: int, difference: str | None) -> None:
        self.compared[check] += count
        if difference is not None:
            self.wrong[check].append(difference)

    def checks(self) -> list[Check]:
        """Return all of them; a case without damage has no checks of it."""
        return [self._check(name) for name in (*CHECKS, STATISTICS, READ_ERRS) if self.compared[name]]

    def _check(self, name: str) -> Check:
        lines = self.wrong[name]
        first = Difference(summary=lines[0], kernel=tuple(lines[:20])) if lines else None
        detail = ""
        if name == CHECKS[0] and self.errors_lost:
            detail = f"known issue: {self.errors_lost} reads of bad blocks gave zeros and no error"
        return Check.of(name, self.compared[name], len(lines), detail=detail, first=first)


def _text(number: int, read: DirectRead, check: str, difference: tuple[str, str]) -> str:
    vectors = ", ".join(f"{length} at {base:#x}" for base, length in read.iov)
    damage = "".join(f", {c.physical} of device {c.devid} damaged" for c in read.copies if c.damaged)
    return (
        f"read {number} of file {read.file} at {read.offset} ({vectors}{damage}): "
        f"{check}: model {difference[0]}, kernel {difference[1]}"
    )


_Compared = tuple[str, int, tuple[str, str] | None]
"""The check, how many things were compared, and where they differ: model and kernel."""


def _compare(read: DirectRead, seen: Seen, predicted: Predicted) -> Iterator[_Compared]:
    outcome = predicted.outcome
    same = outcome.returned == read.returned
    yield "return values", 1, None if same else (_returned(outcome.returned), _returned(read.returned))
    if outcome.returned >= 0 and not outcome.memory_unknown:
        # What memory holds after an error is nobody's business.
        digest = crc32c.crc32c(memory_after(read, outcome))
        yield "memory", 1, None if digest == read.digest else (f"{digest:08x}", f"{read.digest:08x}")
    yield "direct calls", len(predicted.direct) or 1, _lists(predicted.direct, seen.direct)
    bios = None if _same_bios(outcome, seen.bios) else _lists(outcome.bios, seen.bios)
    yield "bios", len(outcome.bios) or 1, bios
    done = outcome.completion
    # Blocks are repaired by workers, at the same time.
    model = [*_told("read", done.reads), *_told("write", done.writes)]
    kernel = [*_told("read", seen.repair_reads), *_told("write", seen.repair_writes)]
    yield "repairs", len(model) or 1, _lists(model, kernel)
    yield "cached pages", len(outcome.pages) or 1, _lists(outcome.pages, seen.pages)
    yield from _copies_on_disk(read, predicted)


def _copies_on_disk(read: DirectRead, predicted: Predicted) -> Iterator[_Compared]:
    """Each copy of a damaged block holds what it held before, or the damage if it was not repaired."""
    for copy in read.copies:
        digests = predicted.digests_after(copy)
        where = f"{copy.physical} of device {copy.devid} holds"
        told = " or ".join(f"{digest:08x}" for digest in sorted(digests))
        yield "copies on disk", 1, None if copy.after in digests else (f"{where} {told}", f"{copy.after:08x}")


def _told(what: str, bios: Sequence[Bio]) -> list[tuple[str, Bio]]:
    return sorted((what, bio) for bio in bios)


def _returned(value: int) -> str:
    return os.strerror(-value) if value < 0 else f"{value} bytes"


def memory_after(read: DirectRead, outcome: Outcome) -> bytearray:
    """Return what the model says the memory holds after a read that has succeeded."""
    memory = bytearray([POISON]) * read.memory_bytes
    for address, data in outcome.writes:
        if isinstance(data, int):
            memory[address : address + data] = bytes(data)
        else:
            memory[address : address + len(data)] = data
    return memory


def _lists(model: Sequence[object], kernel: Sequence[object]) -> tuple[str, str] | None:
    if list(model) == list(kernel):
        return None
    return _from_first_difference(model, kernel), _from_first_difference(kernel, model)


def _from_first_difference(one: Sequence[object], other: Sequence[object]) -> str:
    pairs = enumerate(zip(one, other, strict=False))
    place = next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))
    shown = ", ".join(map(str, one[place : place + 4])) or "nothing"
    return f"{len(one)}, from number {place} on {shown}"


def _same_bios(outcome: Outcome, kernel: Sequence[Bio]) -> bool:
    """Whether the bios are the same, one by one.

    Where the page cache fills more than `BIO_MAX_BYTES` at once, how the pages lie in memory decides where
    the bio ends: there, cuts between neighbours are not compared, only how many there can be.
    """
    model = outcome.bios
    if outcome.longest_buffered <= BIO_MAX_BYTES:
        return model == list(kernel)
    most = len(model) + sum(bio.length for bio in model) // BIO_MAX_BYTES
    return len(kernel) <= most and _joined(model) == _joined(kernel)


def _joined(bios: Sequence[Bio]) -> list[Bio]:
    joined: list[Bio] = []
    for bio in bios:
        before = joined[-1] if joined else None
        if before and bio == (BioKind.BUFFERED, before.devid, before.physical + before.length, bio.length):
            joined[-1] = before._replace(length=before.length + bio.length)
        else:
            joined.append(bio)
    return joined
