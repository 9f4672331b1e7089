# SPDX-License-Identifier: GPL-2.0-or-later
"""The time series of one case: checked on reading, thinned out for plotting."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_POINTS", "Mark", "Series", "Timeline"]

MAX_POINTS = 300
"""A plot is no wider than this many pixels per two or three buckets; more cannot be seen."""

Series = NDArray[np.float64]


@dataclass(frozen=True)
class Mark:
    """A checkpoint on the time axis."""

    name: str
    t_s: float
    live_states: int


def _empty() -> Series:
    return np.zeros(0)


@dataclass(frozen=True)
class Timeline:
    """Buckets of equal width. Empty when the verdict has no series."""

    width_s: float = 1.0
    """Width of a bucket, s."""
    ops: Mapping[str, Series] = field(default_factory=dict)
    """Operations in each bucket, by kind."""
    live_states: Series = field(default_factory=_empty)
    """Live states in each bucket."""
    checkpoints: tuple[Mark, ...] = ()

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Timeline:
        """Read `CaseVerdict.timeline`; ValueError, TypeError or KeyError when it makes no sense."""
        times = _series(data.get("t_s") or [])
        ops = {str(name): _series(counts) for name, counts in dict(data.get("ops") or {}).items()}
        states = _series(data.get("live_states") or [])
        if any(len(series) != len(times) for series in (states, *ops.values())):
            raise ValueError("the timeline's series differ in length")
        marks = tuple(
            Mark(str(mark["name"]), float(mark["t_s"]), int(mark["live_states"]))
            for mark in data.get("checkpoints") or []
        )
        width = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
        return cls(width if width > 0 else 1.0, ops, states, marks)

    @property
    def end_s(self) -> float:
        """End of the last bucket, or the last checkpoint if that is later, s."""
        return max([len(self.live_states) * self.width_s, *(mark.t_s for mark in self.checkpoints)])

    @property
    def largest(self) -> Mark | None:
        """The checkpoint with the most live states."""
        return max(self.checkpoints, key=lambda mark: mark.live_states, default=None)

    def thinned(self, points: int = MAX_POINTS) -> Timeline:
        """Join neighbours until at most `points` remain: counts add up, of live states the peak stays."""
        step = math.ceil(len(self.live_states) / points)
        if step <= 1:
            return self
        ops = {name: _grouped(counts, step).sum(axis=1) for name, counts in self.ops.items()}
        states = _grouped(self.live_states, step).max(axis=1)
        return Timeline(self.width_s * step, ops, states, self.checkpoints)


def _series(values: Any) -> Series:
    series = np.asarray(values, dtype=np.float64)
    if series.ndim != 1 or not np.isfinite(series).all():
        raise ValueError("the timeline holds something that is not a number")
    return series


def _grouped(series: Series, step: int) -> Series:
    padded = np.zeros(math.ceil(len(series) / step) * step)
    padded[: len(series)] = series
    return padded.reshape(-1, step)
