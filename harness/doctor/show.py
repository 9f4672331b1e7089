# SPDX-License-Identifier: GPL-2.0-or-later
"""Probes for people and for scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.doctor.probes import Probe

__all__ = ["render", "to_json"]


def render(probes: Sequence[Probe], console: Console) -> None:
    """Print a table: what is there, or why not, what to do, and what it costs."""
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for probe in probes:
        table.add_row(Text(probe.name, no_wrap=True), _answer(probe), _details(probe))
    console.print(table)
    missing = sum(not probe.ok for probe in probes)
    console.print(f"\n{len(probes) - missing} of {len(probes)} are there.")


def to_json(probes: Sequence[Probe]) -> list[dict[str, Any]]:
    """Return one JSON object a probe, with the fields of `Probe`."""
    return [asdict(probe) for probe in probes]


def _answer(probe: Probe) -> Text:
    return Text("yes", "green") if probe.ok else Text("no", "bold red")


def _details(probe: Probe) -> Text:
    if probe.ok:
        return Text(probe.found)
    lines = [probe.reason]
    if probe.remedy:
        lines.append(f"do: {probe.remedy}")
    lines.append(f"costs: {probe.costs}")
    return Text("\n".join(lines))
