# SPDX-License-Identifier: GPL-2.0-or-later
"""Plots of claims: bars beside their labels, and lines over numbers. Inline SVG in the page's colours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from markupsafe import Markup

from harness.claims import Plot, Series
from reports.plots import SERIES_COLOURS, nice_ticks
from reports.text import short

__all__ = ["claim_plot"]

WIDTH = 640
LABELS = 210
"""Room for the labels of bars, user units."""
RIGHT, TOP, BOTTOM = 56, 24, 44
BAR = 15
LINES_HEIGHT = 280
LEFT = 64

Scale: TypeAlias = Callable[[float], float]
"""From a value to its place."""


def claim_plot(plot: Plot) -> Markup:
    """Return the plot as SVG."""
    return _bars(plot) if plot.kind == "bars" else _lines(plot)


def _top(plot: Plot) -> float:
    values = [v for s in plot.series for v in (*s.values, *s.high) if v is not None]
    return nice_ticks(max([*values, plot.marker or 0], default=0))[-1]


def _bars(plot: Plot) -> Markup:
    """One group a label, one bar a series."""
    group = BAR * len(plot.series) + 5
    bottom = TOP + group * len(plot.labels)
    top = _top(plot)

    def x(value: float) -> float:
        return round(LABELS + (WIDTH - LABELS - RIGHT) * value / top, 1)

    parts = [_text(LABELS, 14, plot.unit, "axis")]
    parts += _ticks(top, x, bottom)
    for n, label in enumerate(plot.labels):
        y = TOP + n * group
        parts.append(_text(LABELS - 8, y + group / 2 + 2, label, "y"))
        for m, series in enumerate(plot.series):
            parts += _bar(series, n, m, x, y + m * BAR)
    parts += _marker(plot, x, bottom)
    return _svg(plot, bottom + BOTTOM, parts)


def _bar(series: Series, n: int, colour: int, x: Scale, y: float) -> list[Markup]:
    value = series.values[n]
    if value is None:
        return [_text(LABELS + 4, y + 11, "no figure", "")]
    parts = [
        Markup('<rect class="s{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>').format(
            colour % SERIES_COLOURS, LABELS, y + 1, round(x(value) - LABELS, 1), BAR - 3, f"{value:,.4g}"
        )
    ]
    end = value
    if series.low:
        low, end = series.low[n], series.high[n]
        middle = y + BAR / 2 - 0.5
        parts.append(
            Markup('<path class="whisker" d="M{} {}H{}M{} {}v6M{} {}v6"/>').format(
                x(low), middle, x(end), x(low), middle - 3, x(end), middle - 3
            )
        )
    return [*parts, _text(x(end) + 5, y + 11, short(float(f"{value:.3g}")), "")]


def _ticks(top: float, x: Scale, bottom: float) -> list[Markup]:
    parts = []
    for tick in nice_ticks(top):
        parts.append(Markup('<path class="grid" d="M{} {}V{}"/>').format(x(tick), TOP, bottom))
        parts.append(_text(x(tick), bottom + 16, short(tick), "x"))
    return parts


def _marker(plot: Plot, x: Scale, bottom: float) -> list[Markup]:
    if plot.marker is None:
        return []
    at = x(plot.marker)
    line = Markup('<path class="mark" d="M{} {}V{}"/>').format(at, TOP, bottom + 22)
    return [line, _text(at, bottom + 36, f"compared with {plot.marker:.3g}", "mark")]


def _lines(plot: Plot) -> Markup:
    """Labels are evenly spaced: they are steps of what was varied, not a scale."""
    top = _top(plot)
    base = LINES_HEIGHT - BOTTOM
    last = max(len(plot.labels) - 1, 1)

    def x(n: int) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * n / last, 1)

    def y(value: float) -> float:
        return round(base - (base - TOP) * value / top, 1)

    parts = [_text(0, 14, plot.unit, "axis")]
    for tick in nice_ticks(top):
        parts.append(Markup('<path class="grid" d="M{} {}H{}"/>').format(LEFT, y(tick), WIDTH - RIGHT))
        parts.append(_text(LEFT - 6, y(tick) + 4, short(tick), "y"))
    every = max(len(plot.labels) // 8, 1)
    parts += [_text(x(n), base + 16, plot.labels[n], "x") for n in range(0, len(plot.labels), every)]
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, LINES_HEIGHT - 6, plot.x_title, "x axis"))
    for n, series in enumerate(plot.series):
        points = "L".join(f"{x(i)} {y(v)}" for i, v in enumerate(series.values) if v is not None)
        parts.append(Markup('<path class="line c{}" d="M{}"/>').format(n % SERIES_COLOURS, points))
        if len(plot.labels) <= 12:
            parts += [
                Markup('<circle class="s{}" cx="{}" cy="{}" r="3.5"/>').format(n % SERIES_COLOURS, x(i), y(v))
                for i, v in enumerate(series.values)
                if v is not None
            ]
    return _svg(plot, LINES_HEIGHT, parts)


def _text(x: float, y: float, words: str, kind: str) -> Markup:
    return Markup('<text x="{}" y="{}" class="{}">{}</text>').format(x, y, kind, words)


def _svg(plot: Plot, height: float, parts: Sequence[Markup]) -> Markup:
    label = f"{plot.title}, {plot.unit}: {len(plot.labels)} labels, {len(plot.series)} series"
    head = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(WIDTH, round(height), label)
    return Markup("").join([head, *parts, Markup("</svg>")])
