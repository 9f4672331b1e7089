# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables and plots that several claims share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from harness.claims import Figure, Plot, Series, Table
from suites.claims.measure import Measured, Workbench
from suites.claims.variants import VARIANTS, Variant

__all__ = ["Of", "by_workload", "control_ratios", "ratio_plot", "ratios", "totals"]

Of: TypeAlias = Callable[[Measured], float]
"""The figure of a measurement that is of interest."""


def ratios(bench: Workbench, of: Of, more: Variant, less: Variant) -> list[float]:
    """Return `of` on `more` divided by that on `less`, for each real workload that has any."""
    pairs = zip(bench.each(more), bench.each(less), strict=True)
    return [of(a) / of(b) for a, b in pairs if of(b)]


def control_ratios(bench: Workbench, of: Of, more: Variant, less: Variant) -> list[float]:
    """Return `of` on `more` divided by that on `less`, for each control."""
    pairs = zip(bench.each_control(more), bench.each_control(less), strict=True)
    return [of(a) / of(b) for a, b in pairs]


def by_workload(bench: Workbench, title: str, of: Of, variants: Sequence[Variant], note: str = "") -> Table:
    """One row a workload, controls last; a column a variant, then the first's multiples of the others."""
    first, *others = variants
    rows: list[tuple[Figure, ...]] = []
    names = [trace.name for trace in (*bench.real, *bench.controls)]
    columns = [[of(m) for m in (*bench.each(v), *bench.each_control(v))] for v in variants]
    for name, *values in zip(names, *columns, strict=True):
        quotients = [values[0] / other if other else None for other in values[1:]]
        rows.append((name, *values, *quotients))
    heads = ("workload", *(v.name for v in variants), *(f"{first.name} / {v.name}" for v in others))
    return Table(title, heads, tuple(rows), note)


def totals(bench: Workbench, title: str, columns: Sequence[tuple[str, Of]], note: str = "") -> Table:
    """One row a variant, crossed ones too; sums over all real workloads."""
    rows = tuple(
        (variant.name, *(sum(of(m) for m in bench.each(variant)) for _, of in columns))
        for variant in VARIANTS
    )
    return Table(title, ("variant", *(name for name, _ in columns)), rows, note)


def ratio_plot(
    bench: Workbench, title: str, of: Of, more: Variant, less: Variant, marker: float, unit: str
) -> Plot:
    """Bars of ratios, one for each workload, controls last."""
    names = [trace.name for trace in (*bench.real, *bench.controls)]
    tops = [of(m) for m in (*bench.each(more), *bench.each_control(more))]
    bottoms = [of(m) for m in (*bench.each(less), *bench.each_control(less))]
    values = tuple(a / b if b else None for a, b in zip(tops, bottoms, strict=True))
    return Plot(title, "bars", tuple(names), (Series(f"{more.name} / {less.name}", values),), unit, marker)
