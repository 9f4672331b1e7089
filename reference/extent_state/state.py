# SPDX-License-Identifier: GPL-2.0-or-later
"""One record of an extent-io-tree: a byte range, its bits, and its place among the others."""

from __future__ import annotations

__all__ = ["U64_MAX", "ExtentState"]

U64_MAX = 2**64 - 1
"""The largest offset, in bytes; the kernel writes it (u64)-1."""


class ExtentState:
    """A byte range [start, end] and the bits that are set on it (`struct extent_state`).

    `ident` says which object it is: in a replay, the kernel's pointer. The links belong to `StateIndex`:
    `prev` and `next` in order of offsets, `parent`, `left`, `right` and `red` in the red-black tree.
    """

    __slots__ = ("end", "ident", "left", "next", "parent", "prev", "red", "right", "start", "state")

    start: int
    end: int
    state: int
    ident: int
    prev: ExtentState
    next: ExtentState
    parent: ExtentState
    left: ExtentState
    right: ExtentState
    red: bool

    def __init__(self, start: int, end: int, state: int, ident: int) -> None:
        self.start = start
        self.end = end
        self.state = state
        self.ident = ident

    def __repr__(self) -> str:
        return f"state {self.ident:#x} [{self.start}, {self.end}] bits {self.state:#x}"
