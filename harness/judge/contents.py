# SPDX-License-Identifier: GPL-2.0-or-later
"""Holds the model's trees against the kernel's at checkpoints: every state, by range, bits and identity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.capture.checkpoints import Checkpoint, TreeContents
from harness.judge.operations import States
from harness.judge.replay import Outcome, Snapshot

__all__ = ["ContentsFinding", "compare_checkpoint", "first_difference"]


@dataclass(frozen=True)
class ContentsFinding:
    """A tree that differs at a checkpoint, and where it first does."""

    checkpoint: Checkpoint
    tree: TreeContents
    position: int
    """Number of equal states before the first difference."""
    model: Snapshot


def compare_checkpoint(
    number: int, checkpoint: Checkpoint, outcome: Outcome, states: States
) -> tuple[int, list[ContentsFinding]]:
    """Compare all trees of a valid checkpoint; `number` is its place in the record.

    Returns how many things were compared (states of both sides, and trees) and the trees that differ.
    """
    compared, findings = 0, []
    for tree in checkpoint.trees:
        model = outcome.snapshots.get((number, tree.tree), [])
        compared += 1 + max(len(model), len(tree.states))
        position = first_difference(tree, model, states)
        if position is not None:
            findings.append(ContentsFinding(checkpoint, tree, position, model))
    return compared, findings


def first_difference(tree: TreeContents, model: Snapshot, states: States) -> int | None:
    """Number of equal states before the first that differs, or None when there is no difference."""
    kernel = tree.states
    rows = np.array(model, dtype=[("start", "u8"), ("end", "u8"), ("bits", "u8"), ("ident", "i8")])
    common = min(len(kernel), len(rows))
    equal = np.ones(common, bool)
    for name in ("start", "end", "bits"):
        equal &= kernel[name][:common] == rows[name][:common]
    ident = rows["ident"][:common]
    # A negative identity is a state that the model made up for want of an allocation.
    equal &= (ident >= 0) & (states.ptr[ident] == kernel["ptr"][:common])
    if not equal.all():
        return int(np.argmin(equal))
    return None if len(kernel) == len(rows) else common
