# SPDX-License-Identifier: GPL-2.0-or-later
"""The state trees of 2007 over each index, with masks that they do not look into, and what they occupy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from reference.extent_map import Behaviour, ExtentState, States
from reference.extent_map.radix_states import RadixStates
from reference.extent_map.rbtree_states import RbtreeStates
from reference.extent_map.states import Request
from reference.index import BPlusTree, ExtentIndex, RadixTree, RbTree, counting
from suites.claims.tally import TalliedIndex, Tally

__all__ = ["BPLUS", "RADIX", "RBTREE", "STATE_BYTES", "VARIANTS", "OpaqueStates", "Variant"]

STATE_BYTES = {"radix": 56, "rbtree": 64}
"""`sizeof(struct extent_state)` on x86-64 Linux 2.6.22, in bytes, without the node of an index.

start 8, end 8, wait_queue_head_t 24 (a spinlock 4 (+ 4), a list_head 16), atomic_t 4 (+ 4), state 8. The
second version adds in_tree 4 (+ 4); its rb_node, 24, is counted with the index (`RB_NODE_BYTES`).
"""


class OpaqueStates:
    """What lets whole calls of a version take masks with bits beyond its five. Base for a class of States."""

    __slots__ = ()

    def __iter__(self: Any) -> Iterator[ExtentState]:
        return iter(self.index)

    def set(self: Any, start: int, end: int, bits: int, exclusive: bool) -> int | None:
        """Set `bits` on [start, end]; return where an exclusive set met one of them, or None."""
        request = Request(start, end, bits, exclusive=exclusive)
        self._set(request)
        found: int | None = request.failed_start if request.err else None
        return found

    def clear(self: Any, start: int, end: int, bits: int, delete: bool) -> None:
        """Clear `bits` on [start, end], or with `delete` all there is."""
        self._clear(Request(start, end, bits, delete=delete))


class _OpaqueRadix(OpaqueStates, RadixStates):
    __slots__ = ()


class _OpaqueRbtree(OpaqueStates, RbtreeStates):
    __slots__ = ()


class _TalliedRadix(OpaqueStates, RadixStates):
    __slots__ = ()
    index: TalliedIndex

    def merge_state(self, start: int, end: int) -> None:
        """Note what this asks for as merging."""
        self.index.tally.in_merge = True
        super().merge_state(start, end)
        self.index.tally.in_merge = False


class _TalliedRbtree(OpaqueStates, RbtreeStates):
    __slots__ = ()
    index: TalliedIndex

    def merge_state(self, state: ExtentState) -> None:
        """Note what this asks for as merging."""
        self.index.tally.in_merge = True
        super().merge_state(state)
        self.index.tally.in_merge = False


@dataclass(frozen=True)
class Variant:
    """One version of the state tree over one index."""

    name: str
    index: type[ExtentIndex[ExtentState]]
    behaviour: Behaviour

    @property
    def state_bytes(self) -> int:
        """Size of a state without what the index puts into it, bytes."""
        return STATE_BYTES[self.behaviour.structure]

    def states(self) -> OpaqueStates:
        """Return an empty tree that counts nothing."""
        if self.behaviour.structure == "radix":
            return _OpaqueRadix(self.index(), self.behaviour)
        return _OpaqueRbtree(self.index(), self.behaviour)

    def counting_states(self) -> tuple[States, Tally]:
        """Return an empty tree that counts its work and notes the operations on its index."""
        tally = Tally()
        index = TalliedIndex(counting(self.index)(), tally)
        if self.behaviour.structure == "radix":
            return _TalliedRadix(index, self.behaviour), tally
        return _TalliedRbtree(index, self.behaviour), tally

    def bytes_of(self, states: States) -> int:
        """Return what the tree occupies: its states, the nodes of its index, its root, in bytes."""
        return len(states) * self.state_bytes + states.index.memory().total_bytes


RADIX = Variant("radix tree (10 July)", RadixTree, Behaviour.corrected_radix)
RBTREE = Variant("rbtree (24 July)", RbTree, Behaviour.corrected_rbtree)
BPLUS = Variant("B+tree under 24 July", BPlusTree, Behaviour.corrected_rbtree)
_RADIX_ON_RBTREE = Variant("rbtree under 10 July", RbTree, Behaviour.corrected_radix)
_RBTREE_ON_RADIX = Variant("radix tree under 24 July", RadixTree, Behaviour.corrected_rbtree)

VARIANTS = (RADIX, RBTREE, BPLUS, _RADIX_ON_RBTREE, _RBTREE_ON_RADIX)
"""Both versions over their own index, the B+tree, and the two crossed, which tell what is due to the index
and what to the way of working."""
