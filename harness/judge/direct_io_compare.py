# SPDX-License-Identifier: GPL-2.0-or-later
"""What judging direct reads has in common, one at a time or several: comparing, and counting what differs."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.direct_io.record import Layout
from harness.verdicts import Check, Difference
from reference.direct_io.mainline import Bio, BioKind, Reader

__all__ = [
    "BIO_MAX_BYTES",
    "Compared",
    "DirectReadsJudgement",
    "ReaderFactory",
    "Tally",
    "differing",
    "memory_after",
    "returned_text",
    "same_bios",
]

BIO_MAX_BYTES = 256 * 4096
"""A bio of 256 pages; one of more is full when it has met as many pages that do not lie side by side."""

ReaderFactory = Callable[[Layout, int], Reader]

Compared = tuple[str, int, tuple[str, str] | None]
"""The check, how many things were compared, and where they differ: model and kernel."""


@dataclass(frozen=True)
class DirectReadsJudgement:
    """What came of judging direct reads."""

    checks: tuple[Check, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    first_wrong: Mapping[str, int] = field(default_factory=dict)
    """By check, the number of the first read that is not as predicted; of those that go by reads."""


@dataclass
class Tally:
    """How much was compared in each check, and what was wrong."""

    names: Sequence[str]
    """Of the checks, in order."""
    remarks: dict[str, str] = field(default_factory=dict)
    """By check, what else is to be said."""
    compared: Counter[str] = field(default_factory=Counter)
    wrong: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, check: str, count: int, difference: str | None) -> None:
        """Note that so many things were compared, and what differs."""
        self.compared[check] += count
        if difference is not None:
            self.wrong[check].append(difference)

    def checks(self) -> list[Check]:
        """Return all of them in which something was compared."""
        return [self._check(name) for name in self.names if self.compared[name]]

    def _check(self, name: str) -> Check:
        lines = self.wrong[name]
        first = Difference(summary=lines[0], kernel=tuple(lines[:20])) if lines else None
        return Check.of(name, self.compared[name], len(lines), detail=self.remarks.get(name, ""), first=first)


def returned_text(value: int) -> str:
    """Return in words what a call returned: bytes, or -errno."""
    return os.strerror(-value) if value < 0 else f"{value} bytes"


def memory_after(poison: int, length: int, writes: Sequence[tuple[int, memoryview | int]]) -> bytearray:
    """Return memory that held `poison` everywhere, after writes of bytes or so many zeros to addresses."""
    memory = bytearray([poison]) * length
    for address, data in writes:
        if isinstance(data, int):
            memory[address : address + data] = bytes(data)
        else:
            memory[address : address + len(data)] = data
    return memory


def differing(model: Sequence[object], kernel: Sequence[object]) -> tuple[str, str] | None:
    """Return both in words from where they differ; None if they are the same."""
    if list(model) == list(kernel):
        return None
    return _from_first_difference(model, kernel), _from_first_difference(kernel, model)


def _from_first_difference(one: Sequence[object], other: Sequence[object]) -> str:
    pairs = enumerate(zip(one, other, strict=False))
    place = next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))
    shown = ", ".join(map(str, one[place : place + 4])) or "nothing"
    return f"{len(one)}, from number {place} on {shown}"


def same_bios(model: Sequence[Bio], longest_buffered: int, kernel: Sequence[Bio]) -> bool:
    """Whether the bios are the same, one by one.

    Where the page cache fills more than `BIO_MAX_BYTES` at once, how the pages lie in memory decides where
    the bio ends: there, cuts between neighbours are not compared, only how many there can be.
    """
    if longest_buffered <= BIO_MAX_BYTES:
        return list(model) == list(kernel)
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
