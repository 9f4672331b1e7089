# SPDX-License-Identifier: GPL-2.0-or-later
"""What each task is in the middle of while a record of bcache is replayed."""

from __future__ import annotations

from dataclasses import dataclass, field

from reference.bcache.node import Node

__all__ = ["Coalesce", "Disagreement", "Sort", "Split", "Task"]


class Disagreement(Exception):  # noqa: N818  # no error: it is what is looked for
    """The model says one thing, the record another."""

    def __init__(self, check: str, model: str, kernel: str) -> None:
        super().__init__(f"{check}: model: {model}; kernel: {kernel}")
        self.check = check


@dataclass
class Sort:
    """A `bch_btree_sort_into` that has not returned."""

    old: Node
    new: Node
    changes: int
    """How many gens had changed when it began."""


@dataclass
class Split:
    """A `btree_split`."""

    b: Node
    n1: Node | None = None
    made: list[Node] = field(default_factory=list)
    """The nodes made after `n1`: that of the second half, and a new root."""
    is_split: bool = False
    """What the model decided, from what was left in `n1`."""
    divided: bool = False


@dataclass
class Coalesce:
    """A `btree_gc_coalesce`."""

    old: list[Node]
    """The children in the window, newest first."""
    new: list[Node] = field(default_factory=list)
    """Their replacements."""
    written: int = 0
    """How many of these are filled."""


@dataclass
class Task:
    """A task."""

    sort: Sort | None = None
    splits: list[Split] = field(default_factory=list)
    """A split of a node may need one of its parent."""
    coalesce: Coalesce | None = None

    @property
    def split(self) -> Split | None:
        """The innermost split."""
        return self.splits[-1] if self.splits else None
