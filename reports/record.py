# SPDX-License-Identifier: GPL-2.0-or-later
"""The parts of a bundle that a reader wants to see as rows: checkpoints, steps, kernel log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.bundle import Bundle
from reports.text import UNKNOWN

__all__ = ["Checkpoint", "Excerpt", "Step", "checkpoints", "console", "dmesg", "excerpt", "steps", "tail"]

WIDEST = 240
"""Longer lines are cut in reports; the bundle keeps them whole."""


@dataclass(frozen=True)
class Checkpoint:
    """One walk of the kernel's trees."""

    name: str
    time_ns: int | None
    valid: bool
    reason: str
    """Why it is not valid."""
    trees: int
    states: int


@dataclass(frozen=True)
class Step:
    """One line of the op log."""

    name: str
    begin_ns: int | None
    took_ns: int | None
    arguments: str
    result: str


@dataclass(frozen=True)
class Excerpt:
    """Some of many rows: the first, or the last."""

    rows: list[Any]
    total: int

    @property
    def left_out(self) -> int:
        """How many rows are only in the bundle."""
        return self.total - len(self.rows)


def excerpt(rows: list[Any], limit: int) -> Excerpt:
    """Keep the first `limit` rows."""
    return Excerpt(rows[:limit], len(rows))


def tail(rows: list[Any], limit: int) -> Excerpt:
    """Keep the last `limit` rows."""
    return Excerpt(rows[-limit:], len(rows))


def checkpoints(bundle: Bundle) -> list[Checkpoint]:
    """Return the checkpoints in the order in which they were taken."""
    return [_checkpoint(entry) for entry in _entries(bundle, "checkpoints.json")]


def steps(bundle: Bundle) -> list[Step]:
    """Return the op log."""
    return [_step(entry) for entry in _entries(bundle, "steps.json")]


def dmesg(bundle: Bundle) -> list[str]:
    """Return the kernel's log lines of the window."""
    return _lines(bundle, "dmesg.txt")


def console(bundle: Bundle) -> list[str]:
    """Return what the guest said on its console while the case ran; empty on the host."""
    return _lines(bundle, "console.txt")


def _lines(bundle: Bundle, name: str) -> list[str]:
    return [_cut(line) for line in bundle.text(name).splitlines()] if bundle.has(name) else []


def _entries(bundle: Bundle, name: str) -> list[Mapping[str, Any]]:
    listed = bundle.json(name) if bundle.has(name) else []
    return [entry for entry in listed if isinstance(entry, Mapping)] if isinstance(listed, list) else []


def _checkpoint(entry: Mapping[str, Any]) -> Checkpoint:
    trees = entry.get("trees")
    trees = trees if isinstance(trees, list) else []
    return Checkpoint(
        str(entry.get("name") or UNKNOWN),
        _whole(entry.get("time_ns")),
        entry.get("valid") is True,
        str(entry.get("reason") or ""),
        len(trees),
        _whole(entry.get("live_states")) or 0,
    )


def _step(entry: Mapping[str, Any]) -> Step:
    begin, end = _whole(entry.get("begin_ns")), _whole(entry.get("end_ns"))
    return Step(
        str(entry.get("name") or UNKNOWN),
        begin,
        end - begin if begin is not None and end is not None else None,
        _cut(_flat(entry.get("arguments"))),
        _cut(_flat(entry.get("result"))),
    )


def _flat(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return " ".join(_flat(item) for item in value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def _cut(text: str) -> str:
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"
