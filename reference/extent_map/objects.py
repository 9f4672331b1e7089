# SPDX-License-Identifier: GPL-2.0-or-later
"""What the two trees hold: extent states and extent maps, and what is left of them once they are freed."""

from __future__ import annotations

from typing import Any, NoReturn

from reference.extent_map.bits import describe
from reference.index import Extent
from reference.machine import UseAfterFree, WaitQueue

__all__ = ["ExtentMap", "ExtentState", "poison"]


class ExtentState(Extent):
    """A byte range [start, end] and the bits set on it (`struct extent_state`).

    `start`, `end`, `state` hold garbage until the state is put into a tree, as in the kernel.
    """

    __slots__ = ("alive", "in_tree", "refs", "state", "wq")

    alive: bool

    def __init__(self, start: int = 0, end: int = 0, state: int = 0) -> None:
        self.start = start
        self.end = end
        self.state = state
        """EXTENT_ bits."""
        self.refs = 1
        self.in_tree = False
        self.wq: WaitQueue | None = None
        """Who waits for bits to be cleared; made when the first one waits."""

    def __repr__(self) -> str:
        return f"state [{self.start}, {self.end}] {describe(self.state)}"


class ExtentMap(Extent):
    """Where the bytes [start, end] of a file are on disk (`struct extent_map`).

    `block_start` and `block_end` are byte offsets on `bdev`, inclusive; both are 0 for a hole.
    """

    __slots__ = ("alive", "bdev", "block_end", "block_start", "in_tree", "refs")

    alive: bool

    def __init__(
        self, start: int = 0, end: int = 0, block_start: int = 0, block_end: int = 0, bdev: object = None
    ) -> None:
        self.start = start
        self.end = end
        self.block_start = block_start
        self.block_end = block_end
        self.bdev = bdev
        self.refs = 1
        self.in_tree = False

    def __repr__(self) -> str:
        where = f"at {self.block_start} of {self.bdev}" if self.block_start else "hole"
        return f"map [{self.start}, {self.end}] {where}"


def poison(entry: ExtentState | ExtentMap) -> None:
    """Make every later use of a freed object raise UseAfterFree, as SLAB_POISON makes it show."""
    entry.__class__ = _POISON[type(entry)]


# What Python and the machine ask of an object that is still linked to by one that is out of the tree itself.
_HARMLESS = frozenset({"__class__", "__fingerprint__"})


def _used(what: str, name: str) -> NoReturn:
    raise UseAfterFree(f"an {what} that was freed is used: {name}")


class _FreedState(ExtentState):
    __slots__ = ()

    def __getattribute__(self, name: str) -> object:
        if name in _HARMLESS:
            return object.__getattribute__(self, name)
        _used("extent_state", name)

    def __setattr__(self, name: str, value: object) -> None:
        _used("extent_state", name)

    def __fingerprint__(self) -> object:
        return "freed"

    def __repr__(self) -> str:
        return "state (freed)"


class _FreedMap(ExtentMap):
    __slots__ = ()

    def __getattribute__(self, name: str) -> object:
        if name in _HARMLESS:
            return object.__getattribute__(self, name)
        _used("extent_map", name)

    def __setattr__(self, name: str, value: object) -> None:
        _used("extent_map", name)

    def __fingerprint__(self) -> object:
        return "freed"

    def __repr__(self) -> str:
        return "map (freed)"


_POISON: dict[type[ExtentState | ExtentMap], Any] = {ExtentState: _FreedState, ExtentMap: _FreedMap}
