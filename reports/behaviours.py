# SPDX-License-Identifier: GPL-2.0-or-later
"""How the kernels of a run behave where kernels differ, and how much of what they did tells so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.verdicts import Evidence
from reports.kernels import Kernel
from reports.run import CaseResult, Run

__all__ = ["Behaviours", "Row", "Side", "behaviours", "in_words"]

Value = bool | int | str


@dataclass(frozen=True)
class Side:
    """What is known of one kernel, over all of its cases."""

    values: tuple[Value, ...]
    """As the judge had it; more than one only if it did not have the same in all cases."""
    looked_at: int
    decided: int
    against: int

    @property
    def told(self) -> str:
        """Say how it is known.

        >>> Side((True,), 600, 41, 0).told, Side((256,), 600, 0, 0).told, Side((1,), 9, 0, 3).told
        ('41 of 600 decide it', 'none of 600 tells', 'none of 9 tells, 3 speak against it')
        """
        if not self.looked_at:
            return "no kernel known to differ"
        found = f"{self.decided:,} of {self.looked_at:,} decide it"
        if not self.decided:
            found = f"none of {self.looked_at:,} tells"
        return f"{found}, {self.against:,} speak against it" if self.against else found


@dataclass(frozen=True)
class Row:
    """One way in which kernels differ."""

    field: str
    said: str
    """What it means, and where that is to be seen."""
    sides: tuple[Side | None, ...]
    """Kernel by kernel; None where nothing is known."""

    @property
    def differs(self) -> bool:
        """Whether kernels of the run do."""
        return len({value for side in self.sides if side for value in side.values}) > 1

    @property
    def known(self) -> bool:
        """Whether anything that was recorded tells."""
        return any(side.decided or side.against for side in self.sides if side)


@dataclass(frozen=True)
class Behaviours:
    """The table: those in which the kernels of the run differ come first."""

    kernels: tuple[Kernel, ...]
    """Those of which anything is known."""
    rows: tuple[Row, ...]

    @property
    def differing(self) -> list[Row]:
        """Rows in which kernels of the run differ."""
        return [row for row in self.rows if row.differs]

    @property
    def shared(self) -> list[Row]:
        """The others."""
        return [row for row in self.rows if not row.differs]


def behaviours(run: Run) -> Behaviours:
    """Gather what the judge found; empty if no case of the run tells anything."""
    found = {kernel: _by_field(run.on(kernel)) for kernel in run.kernels}
    known = {kernel: fields for kernel, fields in found.items() if fields}
    names = dict.fromkeys(name for fields in known.values() for name in fields)
    rows = [
        Row(
            name,
            next(fields[name][0].said for fields in known.values() if name in fields),
            tuple(_side(fields[name]) if name in fields else None for fields in known.values()),
        )
        for name in names
    ]
    return Behaviours(tuple(known), tuple(rows))


def _by_field(cases: Sequence[CaseResult]) -> dict[str, list[Evidence]]:
    by_field: dict[str, list[Evidence]] = {}
    for case in cases:
        for one in case.verdict.evidence:
            by_field.setdefault(one.field, []).append(one)
    return by_field


def _side(found: Sequence[Evidence]) -> Side:
    return Side(
        tuple(dict.fromkeys(one.value for one in found)),
        sum(one.looked_at for one in found),
        sum(one.decided for one in found),
        sum(one.against for one in found),
    )


def in_words(side: Side | None) -> str:
    """Return the value for people; a dash where none is known.

    >>> in_words(Side((True,), 1, 1, 0)), in_words(Side((4096,), 1, 1, 0)), in_words(None)
    ('yes', '4,096', '-')
    """
    return " / ".join(_word(value) for value in side.values) if side else "-"


def _word(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else value
