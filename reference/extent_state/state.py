# SPDX-License-Identifier: GPL-2.0-or-later
"""One record of an extent-io-tree: a byte range, its bits, and its place among the others."""

from __future__ import annotations

from reference.rbtree import U64_MAX, Extent

__all__ = ["U64_MAX", "ExtentState"]


class ExtentState(Extent):
    """A byte range [start, end] and the bits that are set on it (`struct extent_state`).

    `ident` says which object it is: in a replay, the kernel's pointer. The links belong to `StateIndex`.
    """

    __slots__ = ("ident", "state")

    state: int
    ident: int

    def __init__(self, start: int, end: int, state: int, ident: int) -> None:
        self.start = start
        self.end = end
        self.state = state
        self.ident = ident

    def __repr__(self) -> str:
        return f"state {self.ident:#x} [{self.start}, {self.end}] bits {self.state:#x}"
