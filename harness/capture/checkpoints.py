# SPDX-License-Identifier: GPL-2.0-or-later
"""Checkpoints: what the kernel's trees really held at quiet points, and how that is stored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.bundle import Bundle, BundleWriter, Table

__all__ = ["Checkpoint", "TreeContents", "load_checkpoints", "save_checkpoints"]

FILE = "checkpoints.json"
STATES_FILE = "checkpoint_states.npz"
_COLUMNS = {"ptr": "<u8", "start": "<u8", "end": "<u8", "bits": "<u4", "refs": "<u4"}


@dataclass(frozen=True)
class TreeContents:
    """One extent_io_tree and all its states."""

    tree: int
    """Address of the tree."""
    owner: int
    ino: int
    root: int
    gone: bool
    """The memory no longer holds this tree: it must have been empty when it went."""
    states: NDArray[Any]
    """Rows with `ptr`, `start`, `end` (inclusive), `bits`, `refs`, in order of `start`."""


@dataclass(frozen=True)
class Checkpoint:
    """All known trees at a moment when no operation was under way."""

    name: str
    at_event: int
    """Number of events before it."""
    time_ns: int
    valid: bool
    reason: str
    """Why it is not valid."""
    trees: tuple[TreeContents, ...]

    @property
    def live_states(self) -> int:
        """Number of states in all trees."""
        return sum(len(t.states) for t in self.trees)


def save_checkpoints(writer: BundleWriter, checkpoints: Iterable[Checkpoint]) -> None:
    """Write `checkpoints.json` (what there is) and `checkpoint_states.npz` (all states, one table)."""
    described = []
    columns: dict[str, list[NDArray[Any]]] = {name: [np.zeros(0, kind)] for name, kind in _COLUMNS.items()}
    for c in checkpoints:
        trees = [[t.tree, t.owner, t.ino, t.root, t.gone, len(t.states)] for t in c.trees]
        described.append(
            {
                "name": c.name,
                "at_event": c.at_event,
                "time_ns": c.time_ns,
                "valid": c.valid,
                "reason": c.reason,
                "live_states": c.live_states,
                "trees": trees,
            }
        )
        for t in c.trees:
            for name in _COLUMNS:
                columns[name].append(t.states[name])
    writer.add_json(FILE, described)
    writer.add_table(STATES_FILE, {name: np.concatenate(parts) for name, parts in columns.items()})


def load_checkpoints(bundle: Bundle) -> list[Checkpoint]:
    """Read what `save_checkpoints` wrote."""
    states = _rows(bundle.table(STATES_FILE))
    position = 0
    checkpoints = []
    for c in bundle.json(FILE):
        trees = []
        for tree, owner, ino, root, gone, count in c["trees"]:
            trees.append(TreeContents(tree, owner, ino, root, gone, states[position : position + count]))
            position += count
        fields = {name: c[name] for name in ("name", "at_event", "time_ns", "valid", "reason")}
        checkpoints.append(Checkpoint(**fields, trees=tuple(trees)))
    return checkpoints


def _rows(table: Table) -> NDArray[Any]:
    rows = np.empty(len(table["ptr"]), list(_COLUMNS.items()))
    for name in _COLUMNS:
        rows[name] = table[name]
    return rows
