# SPDX-License-Identifier: GPL-2.0-or-later
"""A claim as data, with the function that measures it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.claims import Fact, Plot, Table
from suites.claims.measure import Workbench

__all__ = ["THREAD", "Claim", "Found"]

THREAD = '"[PATCH RFC] extent mapped page cache", linux-fsdevel, July 2007'


@dataclass(frozen=True)
class Found:
    """What measuring gave: the facts that the conclusion rests on, and what else is worth seeing."""

    facts: tuple[Fact, ...]
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = ()


@dataclass(frozen=True)
class Claim:
    """One published claim. All but `measure` is written before anything is measured."""

    id: str
    quotation: str
    """Verbatim, as short as it can be; line breaks are spaces."""
    author: str
    date: str
    """ISO 8601, as precise as the source: a day or a year."""
    source: str
    """Where it stands: the message, and the line of the thread's text."""
    takes: str
    """What measuring it takes."""
    method: str
    real: str
    """What of it is real."""
    simulated: str
    """What of it is simulated or modelled."""
    rule: str
    """How the conclusion follows from the figures."""
    measure: Callable[[Workbench], Found]
    constants: tuple[tuple[str, str], ...] = ()
    """Name and value of what was fixed before the run."""
    deviations: tuple[str, ...] = ()
    """What a reader has to know before citing the conclusion."""
