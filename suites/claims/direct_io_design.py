# SPDX-License-Identifier: GPL-2.0-or-later
"""What the direct read of 2010 does with each kind of extent, as it was meant and as it was posted."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache

from harness.claims import Fact, Figure, Table
from reference.direct_io.generate import generate
from reference.direct_io.rfc_2010 import Behaviour
from reference.direct_io.run import complaint, run
from reference.direct_io.synthetic import BLOCK, SECTOR, Case, DiskSpec, build
from reference.machine import Finding
from suites.claims.rules import holds

__all__ = ["CASES", "KINDS", "by_design", "kind_read"]

CASES = 4000
"""Generated; those that cannot be read for a reason of their own are left out."""
KINDS = {
    "hole": "hole",
    "prealloc": "preallocated",
    "plain": "plain",
    "inline": "inline",
    "inline-zlib": "inline, zlib",
    "zlib": "zlib",
}
"""What the generator makes, and what it is called here."""
WAYS = {"design": "as designed", "posted": "as posted"}
SEVERAL = "more than one of these"


@dataclass
class _Tally:
    """What became of the reads of one kind of extent."""

    reads: int = 0
    asynchronous: int = 0
    ends: dict[str, Counter[str]] = field(default_factory=lambda: {way: Counter() for way in WAYS})


def by_design() -> tuple[list[Fact], Table]:
    """Return for each kind of extent whether all reads are direct, complete and right."""
    rows: list[tuple[Figure, ...]] = []
    facts: dict[str, list[Fact]] = {way: [] for way in WAYS}
    tallies = _tallies()
    for kind in (*KINDS.values(), SEVERAL):
        tally = tallies[kind]
        for way, name in WAYS.items():
            wrong = tally.reads - tally.ends[way]["right"]
            what = f"model of 2010, {name}, {kind}: reads to be direct"
            facts[way].append(holds(what, tally.reads, wrong))
        design, posted = tally.ends["design"], tally.ends["posted"]
        rows.append(
            (
                *(kind, tally.reads, tally.asynchronous, design["right"], posted["right"]),
                *(posted["wrong"], posted["bug"]),
            )
        )
    heads = (
        *("what is read", "reads", "of these asynchronous", "as designed: direct and right"),
        *(
            "as posted: direct and right",
            "as posted: wrong bytes or length",
            "as posted: a bug of the kernel",
        ),
    )
    note = (
        "The patch has no way into the page cache: a read that it does not serve directly ends short or with "
        "an error. A bug of the kernel is a hang, a leak, or memory used after it was freed."
    )
    return [fact for way in WAYS for fact in facts[way]], Table(
        "Direct reads by the models of 2010", heads, tuple(rows), note
    )


@cache
def _tallies() -> dict[str, _Tally]:
    found = {kind: _Tally() for kind in (*KINDS.values(), SEVERAL)}
    for case in _cases():
        tally = found[kind_read(case)]
        tally.reads += 1
        tally.asynchronous += not case.is_sync
        tally.ends["design"][_end(case, Behaviour.corrected)] += 1
        tally.ends["posted"][_end(case, Behaviour.as_posted)] += 1
    return found


def _cases() -> Iterator[Case]:
    """Yield random cases in which nothing is damaged, missing or misaligned, and something is read."""
    for number in range(CASES):
        case = generate(random.Random(f"full direct reads {number}"))
        case = replace(
            case,
            faults=(),
            unmapped=(),
            allocations=(),
            ordered_error=0,
            ki_left=None,
            disks=(DiskSpec(),) * len(case.disks),
        )
        parts = case.offset, *(n for base, length in case.iov if length for n in (base, length))
        whole = all(part % SECTOR == 0 for part in parts)
        if whole and 0 <= case.offset < case.i_size and case.request.ki_left and _readable(case):
            yield case


def _readable(case: Case) -> bool:
    return not any(extent.kind in ("missing", "unreadable") for extent in case.extents)


def kind_read(case: Case) -> str:
    """Return what kind of extent the read of `case` has, by the names of `KINDS`."""
    end = min(case.offset + case.request.ki_left, case.i_size)
    kinds, start = set(), 0
    for extent in case.extents:
        behind = start + extent.blocks * BLOCK
        if start < end and case.offset < behind:
            kinds.add(KINDS[extent.kind])
        start = behind
    return kinds.pop() if len(kinds) == 1 else SEVERAL


def _end(case: Case, behaviour: Behaviour) -> str:
    file = build(case)
    try:
        done = run(case, behaviour, file)
    except (Finding, AssertionError):
        return "bug"
    due = min(case.offset + case.request.ki_left, case.i_size) - case.offset
    return "right" if done.result == due and not complaint(case, file, done) else "wrong"
