# SPDX-License-Identifier: GPL-2.0-or-later
"""How fast the sides were: every figure of fio, side by side, and which of them is a regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from reports.compare.sides import Side
from reports.compare.statistics import Ratio, Sample, adjusted, ratio, welch
from reports.results import results

__all__ = ["JUDGED", "FigureRow", "Versus", "figure_rows"]

SIGNIFICANT = 0.05
HIGHER_IS_BETTER = ("bandwidth", "iops")
LOWER_IS_BETTER = ("completion p50", "completion p99", "CPU in user mode", "CPU in the kernel")
JUDGED = ("bandwidth",)
"""What can be a regression. The rest follows from it or is noisier, and is shown."""


@dataclass(frozen=True)
class Versus:
    """A side against the first one."""

    ratio: Ratio | None
    probability: float | None
    """That chance alone makes the difference, raised for how many figures there are; None if not known."""
    regression: bool

    @property
    def stars(self) -> str:
        """One for 5 %, two for 1 %, three for 0.1 %."""
        if self.probability is None:
            return ""
        return "*" * sum(self.probability < limit for limit in (0.05, 0.01, 0.001))


@dataclass(frozen=True)
class FigureRow:
    """A figure of a case."""

    case: str
    subject: str
    figure: str
    unit: str
    samples: tuple[Sample, ...]
    """Side by side."""
    versus: tuple[Versus, ...]
    """Every side but the first, against the first."""


def figure_rows(sides: Sequence[Side], threshold: float) -> list[FigureRow]:
    """Return every figure that all sides have; worse by more than `threshold` (0.1: 10 %) is a regression.

    Besides, chance must make such a difference in less than 5 % of cases, over all figures together.
    """
    figures = [_figures(side) for side in sides]
    common = [key for key in figures[0] if all(key in other for other in figures[1:])]
    samples = {key: tuple(one[key] for one in figures) for key in common}
    versus = [_against(samples, number, threshold) for number in range(1, len(sides))]
    return [
        FigureRow(*key, samples[key], tuple(column[place] for column in versus))
        for place, key in enumerate(common)
    ]


_Key = tuple[str, str, str, str]


def _figures(side: Side) -> dict[_Key, Sample]:
    table: pd.DataFrame = results(side.run)
    wanted = table[
        table["case"].isin(side.by_case())
        & (table["kernel"] == side.results[0].kernel.label)
        & table["figure"].isin(HIGHER_IS_BETTER + LOWER_IS_BETTER)
    ]
    keys = ["case", "subject", "figure", "unit"]
    grouped = wanted.groupby(keys, sort=False)["value"]
    return {tuple(map(str, key)): Sample(tuple(map(float, values))) for key, values in grouped}  # type: ignore[misc]


def _against(samples: dict[_Key, tuple[Sample, ...]], number: int, threshold: float) -> list[Versus]:
    pairs = [(key[2], one[0], one[number]) for key, one in samples.items()]
    chances = adjusted([welch(before, after) for _, before, after in pairs])
    found = []
    for (figure, before, after), chance in zip(pairs, chances, strict=True):
        by = ratio(before, after)
        worse = by is not None and _worse(figure, by.ratio, threshold)
        sure = chance is not None and chance < SIGNIFICANT
        found.append(Versus(by, chance, figure in JUDGED and worse and sure))
    return found


def _worse(figure: str, by: float, threshold: float) -> bool:
    return by < 1 - threshold if figure in HIGHER_IS_BETTER else by > 1 + threshold
