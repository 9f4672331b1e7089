# SPDX-License-Identifier: GPL-2.0-or-later
"""The workloads, and what each variant does and occupies on them; measured once, for all claims."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from harness.bundle import Bundle, find_bundles
from harness.errors import UserError
from harness.judge.applied import CallKind
from harness.judge.extent_state import judge_record
from harness.verdicts import Verdict, worst
from reference.extent_map import States
from reference.index import Work
from suites.claims.replay import Trace, trace_of
from suites.claims.synthetic import controls
from suites.claims.tally import CHANGES, Tally
from suites.claims.variants import Variant

__all__ = ["DATA", "Measured", "Workbench", "measured"]

DATA = Path(__file__).resolve().parents[1] / "data"
"""The recorded bundles of the project."""
_GROWTH = 1.05
"""Memory is looked at when a tree has this much more states than ever, and at checkpoints."""


@dataclass
class Measured:
    """Deterministic figures of one variant on one workload."""

    calls: int = 0
    """set_extent_bit and clear_extent_bit."""
    all: Counter[str] = field(default_factory=Counter)
    """Operations on the index, by name."""
    merging: Counter[str] = field(default_factory=Counter)
    """Those of merge_state."""
    work: Work = field(default_factory=Work)
    states_allocated: int = 0
    peak_bytes: int = 0
    """Of the largest tree, at its largest."""
    peak_states: int = 0
    """How many states it had then."""

    @property
    def operations(self) -> int:
        """Operations on the index."""
        return self.all.total()

    @property
    def changes(self) -> int:
        """Those that changed it."""
        return sum(self.all[name] for name in CHANGES)

    def add(self, states: States, tally: Tally) -> None:
        """Add what was counted on one tree."""
        self.all += tally.all
        self.merging += tally.merging
        self.states_allocated += states.cache.allocations
        for name in Work.__slots__:
            setattr(self.work, name, getattr(self.work, name) + getattr(states.index.work, name))


def measured(trace: Trace, variant: Variant) -> Measured:
    """Repeat `trace` on trees of `variant` that count."""
    found = Measured()
    for steps in trace.trees.values():
        states, tally = variant.counting_states()
        largest = 0.0
        for step in steps:
            if step.kind != CallKind.CHECKPOINT:
                step.apply(states)  # type: ignore[arg-type]
                found.calls += 1
            if len(states) > largest * _GROWTH or step.kind == CallKind.CHECKPOINT:
                largest = max(largest, len(states))
                _look_at_memory(found, variant, states)
        found.add(states, tally)
    return found


def _look_at_memory(found: Measured, variant: Variant, states: States) -> None:
    occupied = variant.bytes_of(states)
    if occupied > found.peak_bytes:
        found.peak_bytes, found.peak_states = occupied, len(states)


class Workbench:
    """Traces of the bundles in and below `bundles`, controls, and figures that are kept.

    UserError for a bundle that does not pass.
    """

    def __init__(self, bundles: Sequence[Path] = (DATA,)) -> None:
        found = (folder.resolve() for path in bundles for folder in find_bundles(path))
        self._bundles = [Bundle.open(folder) for folder in dict.fromkeys(found)]
        self._kept: dict[tuple[str, Variant], list[Measured]] = {}

    def of_suite(self, suite: str) -> list[Bundle]:
        """Return the bundles of cases of one suite."""
        return [bundle for bundle in self._bundles if bundle.manifest["case"]["suite"] == suite]

    @cached_property
    def real(self) -> tuple[Trace, ...]:
        """What was recorded of real kernels."""
        return tuple(_trace(bundle) for bundle in self.of_suite("extent_state"))

    @property
    def controls(self) -> tuple[Trace, ...]:
        """Workloads made here."""
        return controls()

    def each(self, variant: Variant) -> list[Measured]:
        """Return the figures of `variant` on each real trace."""
        return self._figures("real", self.real, variant)

    def each_control(self, variant: Variant) -> list[Measured]:
        """Return the figures of `variant` on each control."""
        return self._figures("controls", self.controls, variant)

    def _figures(self, kind: str, traces: Sequence[Trace], variant: Variant) -> list[Measured]:
        if (kind, variant) not in self._kept:
            self._kept[kind, variant] = [measured(trace, variant) for trace in traces]
        return self._kept[kind, variant]


def _trace(bundle: Bundle) -> Trace:
    """Return what a bundle records; UserError unless it passes, as else its order is not known."""
    folder = bundle.path
    judgement = judge_record(bundle)
    verdict = worst(check.verdict for check in judgement.checks)
    if bundle.manifest["capture"]["lost"] or verdict is not Verdict.PASS:
        raise UserError(f"{folder}: no workload, as it does not pass: see `./iodiff judge {folder}`")
    return trace_of(_name(folder), judgement.record)


def _name(folder: Path) -> str:
    """The bundle's own name, with its kernel's folder unless that is the project's or a run's only one."""
    return folder.name if folder.parent.name in ("data", "host") else f"{folder.parent.name}/{folder.name}"
