# SPDX-License-Identifier: GPL-2.0-or-later
"""What an index holds: a byte range, with room for the links of a tree."""

from __future__ import annotations

from typing import Self

__all__ = ["U64_MAX", "Extent"]

U64_MAX = 2**64 - 1
"""The largest offset, in bytes; the kernel writes it (u64)-1."""


class Extent:
    """A byte range [start, end].

    The links are one index's at a time: `parent`, `left`, `right` and `red` in a red-black tree (`struct
    rb_node`), `prev` and `next` in order of offsets. Other indexes leave them alone.
    """

    __slots__ = ("end", "left", "next", "parent", "prev", "red", "right", "start")

    start: int
    end: int
    prev: Self
    next: Self
    parent: Self
    left: Self
    right: Self
    red: bool

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end

    def __repr__(self) -> str:
        return f"extent [{self.start}, {self.end}]"
