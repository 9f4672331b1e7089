# SPDX-License-Identifier: GPL-2.0-or-later
"""Small inline SVG plots. Colours are CSS classes, so a plot follows the page into dark mode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from reports.text import count, printable, short
from reports.timeline import MAX_POINTS, Mark, Series, Timeline

__all__ = ["SERIES_COLOURS", "nice_ticks", "operations_plot", "series_order", "states_plot"]

SERIES_COLOURS = 6
"""The style sheet has this many series colours; a seventh kind takes the first again."""

WIDTH, HEIGHT = 560, 230
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 26, 40
FAR_ENOUGH = 16
"""Checkpoint numbers closer than this (user units) would overprint each other."""


@dataclass(frozen=True)
class Axes:
    """Maps data to the plot's area."""

    x_max: float
    y_max: float

    def x(self, value: float) -> float:
        """Horizontal position."""
        return round(LEFT + (WIDTH - LEFT - RIGHT) * value / self.x_max, 1)

    def y(self, value: float) -> float:
        """Vertical position; SVG counts downwards."""
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / self.y_max, 1)


def operations_plot(timeline: Timeline, points: int = MAX_POINTS) -> Markup:
    """Operations per second over time, one area a kind, stacked, each of at most `points` steps."""
    thin = timeline.thinned(points)
    names = series_order(timeline)
    rates = [thin.ops[name] / thin.width_s for name in names]
    stacked = np.cumsum(rates, axis=0) if rates else np.zeros((1, 1))
    peak = float(stacked[-1].max())
    axes = Axes(max(thin.end_s, 1e-9), nice_ticks(peak)[-1])
    # Back to front: each area reaches the ground and the next one covers it.
    areas = [
        Markup('<path class="area s{}" d="{}"/>').format(
            n % SERIES_COLOURS, _steps(stacked[n], thin.width_s, axes)
        )
        for n in reversed(range(len(names)))
    ]
    label = f"Operations per second over {axes.x_max:.3g} s, at most {count(round(peak))}"
    return _svg(label, axes, "operations per second", areas)


def states_plot(timeline: Timeline, points: int = MAX_POINTS) -> Markup:
    """Live extent states over time, with the checkpoints numbered as in the checkpoint table."""
    thin = timeline.thinned(points)
    heights = [*thin.live_states, *(mark.live_states for mark in thin.checkpoints)]
    peak = float(max(heights, default=0))
    axes = Axes(max(thin.end_s, 1e-9), nice_ticks(peak)[-1])
    area = Markup('<path class="area live" d="{}"/>').format(_steps(thin.live_states, thin.width_s, axes))
    marked = f"{len(thin.checkpoints)} checkpoints marked"
    label = f"Live states over {axes.x_max:.3g} s, at most {count(round(peak))}; {marked}"
    return _svg(label, axes, "live states", [area, *_marks(thin.checkpoints, axes)])


def series_order(timeline: Timeline) -> list[str]:
    """Kinds of operations from the ground up: the busiest carries the others."""
    return sorted(timeline.ops, key=lambda name: (-float(timeline.ops[name].sum()), name))


def nice_ticks(largest: float, wanted: int = 4) -> list[float]:
    """Return round numbers from 0 to at least `largest`.

    >>> nice_ticks(862981)
    [0.0, 250000.0, 500000.0, 750000.0, 1000000.0]
    >>> nice_ticks(3)
    [0.0, 1.0, 2.0, 3.0]
    """
    if largest <= 0:
        return [0.0, 1.0]
    rough = largest / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * (1 - 1e-9))
    return [step * n for n in range(math.ceil(largest / step - 1e-9) + 1)]


def _steps(heights: Series, width_s: float, axes: Axes) -> str:
    """Outline of a step function down to the ground, in user units to a tenth."""
    parts = [f"M{axes.x(0):g} {axes.y(0):g}"]
    for n, height in enumerate(heights):
        parts.append(f"V{axes.y(float(height)):g}H{axes.x((n + 1) * width_s):g}")
    return "".join(parts) + f"V{axes.y(0):g}Z"


def _marks(checkpoints: Sequence[Mark], axes: Axes) -> list[Markup]:
    marks = []
    free_from = 0.0
    for number, mark in enumerate(checkpoints, 1):
        x = axes.x(mark.t_s)
        marks.append(_mark(number, mark, axes, labelled=x >= free_from))
        free_from = x + FAR_ENOUGH if x >= free_from else free_from
    return marks


def _mark(number: int, mark: Mark, axes: Axes, *, labelled: bool) -> Markup:
    x, y = axes.x(mark.t_s), axes.y(mark.live_states)
    line = Markup('<path class="mark" d="M{} {}V{}"/>').format(x, TOP, HEIGHT - BOTTOM)
    dot = Markup('<circle class="mark" cx="{}" cy="{}" r="3.5"/>').format(x, y)
    label = Markup('<text x="{}" y="{}" class="mark">{}</text>').format(x, TOP - 4, number)
    title = Markup("<title>{}</title>").format(_mark_words(number, mark))
    return Markup("<g>{}{}{}{}</g>").format(title, line, dot, label if labelled else "")


def _mark_words(number: int, mark: Mark) -> str:
    what = f"checkpoint {number}, {printable(mark.name)}"
    return f"{what}: {count(mark.live_states)} live states at {mark.t_s:.3g} s"


def _svg(label: str, axes: Axes, y_title: str, drawing: Sequence[Markup]) -> Markup:
    head = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(WIDTH, HEIGHT, label)
    return Markup("").join([head, *_y_axis(axes, y_title), *drawing, *_x_axis(axes), Markup("</svg>")])


def _y_axis(axes: Axes, title: str) -> list[Markup]:
    parts = [Markup('<text x="0" y="12" class="axis">{}</text>').format(title)]
    for tick in nice_ticks(axes.y_max):
        y = axes.y(tick)
        parts.append(Markup('<path class="grid" d="M{} {}H{}"/>').format(LEFT, y, WIDTH - RIGHT))
        parts.append(Markup('<text x="{}" y="{}" class="y">{}</text>').format(LEFT - 6, y + 4, short(tick)))
    return parts


def _x_axis(axes: Axes) -> list[Markup]:
    base = HEIGHT - BOTTOM
    parts = [Markup('<path class="base" d="M{} {}H{}"/>').format(LEFT, base, WIDTH - RIGHT)]
    text = Markup('<text x="{}" y="{}" class="x">{}</text>')
    ticks = [tick for tick in nice_ticks(axes.x_max, wanted=6) if tick <= axes.x_max]
    parts += [text.format(axes.x(tick), base + 16, short(tick)) for tick in ticks]
    title = Markup('<text x="{}" y="{}" class="x axis">seconds since the recording began</text>')
    return [*parts, title.format((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 5)]
