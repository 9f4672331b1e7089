# SPDX-License-Identifier: GPL-2.0-or-later
"""A first difference, model and kernel side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest

from harness.verdicts import Difference
from reports.text import count, printable

__all__ = ["Row", "align", "as_diff", "place"]


@dataclass(frozen=True)
class Row:
    """One line of each side; None where that side has none."""

    model: str | None
    kernel: str | None

    @property
    def same(self) -> bool:
        """Whether both sides say the same."""
        return self.model == self.kernel


def align(model: Sequence[str], kernel: Sequence[str]) -> list[Row]:
    """Set equal lines opposite each other, as a side-by-side diff does."""
    rows: list[Row] = []
    for _, i1, i2, j1, j2 in SequenceMatcher(None, model, kernel, autojunk=False).get_opcodes():
        rows += [Row(left, right) for left, right in zip_longest(model[i1:i2], kernel[j1:j2])]
    return rows


def as_diff(difference: Difference) -> list[str]:
    """Return both sides as the lines of a diff: `-` only the model has it, `+` only the kernel."""
    if not difference.model and not difference.kernel:
        return []
    lines = ["--- model", "+++ kernel"]
    for row in align(difference.model, difference.kernel):
        if row.same:
            lines.append(f"  {row.model}")
        else:
            lines += [f"- {row.model}"] if row.model is not None else []
            lines += [f"+ {row.kernel}"] if row.kernel is not None else []
    return [printable(line).replace("\n", "\\n") for line in lines]


def place(difference: Difference) -> str:
    """Say where in the record the difference is; empty when it is not about one event."""
    at = [] if difference.event is None else [f"event {count(difference.event)}"]
    if difference.time_ns is not None:
        at.append(f"{difference.time_ns / 1e9:.6f} s into the recording")
    return ", ".join(at)
