# SPDX-License-Identifier: GPL-2.0-or-later
"""What was measured of a published claim, and what follows from it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["ClaimReport", "Conclusion", "Fact", "Figure", "Plot", "Series", "Table"]

FORMAT = 1

Figure = str | int | float | None
"""A cell of a table; None where there is nothing to say."""


class Conclusion(StrEnum):
    """What the figures say of a claim, by its rule."""

    REPRODUCED = "reproduced"
    PARTLY = "partly reproduced"
    NOT = "not reproduced"
    UNTESTABLE = "cannot be tested"


@dataclass(frozen=True)
class Table:
    """Figures with their heads; `digits` of those that are no whole numbers."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Figure, ...], ...]
    note: str = ""
    digits: int = 2


@dataclass(frozen=True)
class Series:
    """One way of a plot: its name, and a value for each of the plot's labels; None leaves a gap."""

    name: str
    values: tuple[float | None, ...]
    low: tuple[float, ...] = ()
    """Ends of the intervals, one for each value, or none at all."""
    high: tuple[float, ...] = ()


@dataclass(frozen=True)
class Plot:
    """Values by label, as bars that start at 0 (`bars`) or as lines over numbers (`lines`)."""

    title: str
    kind: str
    labels: tuple[str, ...]
    series: tuple[Series, ...]
    unit: str
    """What the values are."""
    marker: float | None = None
    """A value to compare with: what the claim or its rule says."""
    x_title: str = ""


@dataclass(frozen=True)
class Fact:
    """One thing that the rule looked at, with what came out of it."""

    what: str
    value: str
    conclusion: Conclusion


@dataclass(frozen=True)
class ClaimReport:
    """A claim with all that is to be known of its measurement; one page."""

    id: str
    quotation: str
    author: str
    date: str
    source: str
    takes: str
    method: str
    real: str
    simulated: str
    constants: tuple[tuple[str, str], ...]
    rule: str
    conclusion: Conclusion
    why: str
    facts: tuple[Fact, ...]
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = ()
    seconds: float = 0.0
    """How long measuring took, what other claims measured before not included."""
    machine: str = ""
    deviations: tuple[str, ...] = field(default=())
    """What a reader has to know before citing the conclusion."""

    def to_json(self) -> dict[str, Any]:
        """Return the object for machines, `format` 1."""
        return {"format": FORMAT, **asdict(self)}
