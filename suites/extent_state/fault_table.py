# SPDX-License-Identifier: GPL-2.0-or-later
"""The faults that are put into the model, one at a time: what each is, and the edit that makes it.

A fault is one expression or line of `reference/extent_state`. If the model changes so that `old` is not
there exactly once any more, the fault is stale, and a test says so.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FAULTS", "Fault"]


@dataclass(frozen=True)
class Fault:
    """A mistake that somebody could make in the model."""

    name: str
    what: str
    """What is wrong, in a few words."""
    module: str
    """Module of `reference.extent_state`."""
    old: str
    new: str
    survives: str = ""
    """Why no recorded bundle shows it; empty for the faults that are caught."""


# Merging.
_MERGING = (
    Fault(
        "no-merge-left",
        "a changed state does not take in the one before it",
        "tree",
        "        self._merge_prev_state(state)\n        self._merge_next_state(state)\n",
        "        self._merge_next_state(state)\n",
    ),
    Fault(
        "no-merge-right",
        "a changed state does not take in the one behind it",
        "tree",
        "        self._merge_prev_state(state)\n        self._merge_next_state(state)\n",
        "        self._merge_prev_state(state)\n",
    ),
    Fault(
        "merge-right-first",
        "the right neighbour is taken in before the left one",
        "tree",
        "        self._merge_prev_state(state)\n        self._merge_next_state(state)\n",
        "        self._merge_next_state(state)\n        self._merge_prev_state(state)\n",
        survives="the same states go and the same one stays; in which order they are freed is not compared",
    ),
    Fault(
        "merge-left-ignores-delalloc",
        "merging to the left does not compare DELALLOC",
        "tree",
        "previous.state == state.state and previous.end == state.start - 1",
        "(previous.state ^ state.state) & ~self.bits.delalloc == 0 and previous.end == state.start - 1",
    ),
    Fault(
        "merge-right-other-bits",
        "merging to the right is content with one bit in common",
        "tree",
        "following.state == state.state and following.start == state.end + 1",
        "following.state & state.state and following.start == state.end + 1",
    ),
    Fault(
        "merge-left-over-gap",
        "merging to the left goes over a hole",
        "tree",
        "if previous.state == state.state and previous.end == state.start - 1:",
        "if previous.state == state.state:",
    ),
    Fault(
        "merge-right-over-gap",
        "merging to the right goes over a hole",
        "tree",
        "if following.state == state.state and following.start == state.end + 1:",
        "if following.state == state.state:",
    ),
    Fault(
        "merge-right-off-by-one",
        "merging to the right is asked one byte too early",
        "tree",
        "following.state == state.state and following.start == state.end + 1",
        "following.state == state.state and following.start == state.end",
    ),
    Fault(
        "merge-keeps-left",
        "the left one of two merged states survives",
        "tree",
        "            self._erase(previous)\n            self.move_start(state, previous.start)\n",
        "            previous.end = state.end\n            self._erase(state)\n",
    ),
    Fault(
        "merge-keeps-right",
        "the right one of two merged states survives",
        "tree",
        "            self._erase(following)\n            state.end = following.end\n",
        "            self._erase(state)\n            self.move_start(following, state.start)\n",
    ),
    Fault(
        "merge-locked",
        "locked states are merged",
        "tree",
        "self._no_merge = bits.lock_bits | bits.boundary",
        "self._no_merge = bits.boundary",
    ),
    Fault(
        "merge-dio-locked",
        "states locked for direct I/O are merged",
        "tree",
        "self._no_merge = bits.lock_bits | bits.boundary",
        'self._no_merge = bits.names["LOCKED"] | bits.boundary',
    ),
    Fault(
        "merge-boundary",
        "boundaries are merged",
        "tree",
        "self._no_merge = bits.lock_bits | bits.boundary",
        "self._no_merge = bits.lock_bits",
    ),
)

# Splitting.
_SPLITTING = (
    Fault(
        "split-one-short",
        "the first part ends one byte early",
        "tree",
        "ExtentState(state.start, split - 1, state.state, self._take())",
        "ExtentState(state.start, split - 2, state.state, self._take())",
    ),
    Fault(
        "split-loses-bits",
        "the first part has no bits",
        "tree",
        "ExtentState(state.start, split - 1, state.state, self._take())",
        "ExtentState(state.start, split - 1, 0, self._take())",
    ),
    Fault(
        "split-new-behind",
        "the new object becomes the second part",
        "tree",
        "        self.add_before(first, state)\n        return first\n",
        "        self.add_before(first, state)\n"
        "        first.ident, state.ident = state.ident, first.ident\n"
        "        return first\n",
    ),
    Fault(
        "set-no-split-at-end",
        "a set that ends inside a state sets all of it",
        "tree",
        "            elif last_end > end:\n"
        "                state = self._split_state(state, end + 1)\n"
        "            state.state |= bits & self._stored\n"
        "            self._merge_state(state)\n",
        "            state.state |= bits & self._stored\n            self._merge_state(state)\n",
    ),
    Fault(
        "set-splits-late",
        "a set that ends inside a state sets one byte more",
        "tree",
        "                state = self._split_state(state, end + 1)\n"
        "            state.state |= bits & self._stored\n"
        "            self._merge_state(state)\n",
        "                state = self._split_state(state, end + 2)\n"
        "            state.state |= bits & self._stored\n"
        "            self._merge_state(state)\n",
    ),
    Fault(
        "clear-no-split-at-start",
        "a clear that starts inside a state clears all of it",
        "tree",
        "                if state.start < start:\n"
        "                    self._split_state(state, start)\n"
        "                    if last_end > end and self._searches_again:\n",
        "                if state.start < start:\n"
        "                    if last_end > end and self._searches_again:\n",
    ),
    Fault(
        "clear-splits-early",
        "a clear that ends inside a state clears one byte less",
        "tree",
        "first = self._split_state(state, end + 1)",
        "first = self._split_state(state, end)",
    ),
    Fault(
        "clear-clears-rest",
        "a clear that ends inside a state clears the part behind it",
        "tree",
        "self._clear_state_bit(first, wanted, end)",
        "self._clear_state_bit(state, wanted, end)",
    ),
    Fault(
        "set-splits-what-is-set",
        "a set that starts inside a state with all its bits splits it all the same",
        "tree",
        "if state.state & bits == bits:",
        "if bits == 0:",
    ),
)

# Holes.
_HOLES = (
    Fault(
        "hole-joins-nobody",
        "what fills a hole is always a state of its own",
        "tree",
        "        if not bits & self._no_merge:\n            previous",
        "        if False:\n            previous",
    ),
    Fault(
        "hole-joins-locked",
        "a locked range that fills a hole joins an equal neighbour",
        "tree",
        "        if not bits & self._no_merge:\n            previous",
        "        if True:\n            previous",
    ),
    Fault(
        "hole-joins-next-only",
        "what fills a hole between two equal states joins the next one, whatever the tree's shape",
        "tree",
        "if joins_next and (next_is_above or not joins_previous):",
        "if joins_next:",
    ),
    Fault(
        "hole-joins-previous-first",
        "what fills a hole between two equal states joins the previous one, whatever the tree's shape",
        "tree",
        "if joins_next and (next_is_above or not joins_previous):",
        "if joins_next and not joins_previous:",
    ),
    Fault(
        "hole-one-side-only",
        "what joins the next state does not take in the one before",
        "tree",
        "                self._merge_prev_state(following)\n",
        "",
    ),
    Fault(
        "prealloc-used-though-joined",
        "a state that joins the one before it uses up the preallocation",
        "tree",
        "                previous.end = end\n",
        "                previous.end = end\n                self._take()\n",
    ),
    Fault(
        "append-not-merged",
        "a state appended behind all others does not take in an equal one",
        "tree",
        "        self.add_before(state, self.anchor)\n        self._merge_state(state)\n",
        "        self.add_before(state, self.anchor)\n",
    ),
    Fault(
        "prealloc-oldest-first",
        "of several preallocated states the oldest is used first",
        "tree",
        "return self.supply.pop()",
        "return self.supply.pop(0)",
    ),
)

# Exclusive bits.
_LOCKS = (
    Fault(
        "lock-never-fails",
        "exclusive bits are not looked at",
        "tree",
        "if state.state & exclusive:",
        "if False:",
    ),
    Fault(
        "lock-fails-on-any",
        "a lock fails on any state",
        "tree",
        "if state.state & exclusive:",
        "if exclusive:",
    ),
    Fault(
        "dio-locked-not-exclusive",
        "DIO_LOCKED is not exclusive",
        "tree",
        "exclusive = bits & self.bits.lock_bits",
        'exclusive = bits & self.bits.names["LOCKED"]',
    ),
    Fault(
        "locks-exclude-each-other",
        "DIO_LOCKED and LOCKED exclude each other",
        "tree",
        "            if state.state & exclusive:",
        "            if exclusive and state.state & self.bits.lock_bits:",
    ),
    Fault(
        "failed-start-of-state",
        "a failed lock reports where the locked state ends",
        "tree",
        "self.failed_start = start",
        "self.failed_start = state.end",
    ),
    Fault(
        "failed-start-off-by-one",
        "a failed lock reports one byte too far",
        "tree",
        "self.failed_start = start",
        "self.failed_start = start + 1",
    ),
)

# Bits.
_BITS = (
    Fault(
        "set-loses-bit",
        "DELALLOC_NEW is not set on states that exist",
        "tree",
        "            state.state |= bits & self._stored\n            self._merge_state(state)\n",
        '            state.state |= bits & self._stored & ~self.bits.names["DELALLOC_NEW"]\n'
        "            self._merge_state(state)\n",
    ),
    Fault(
        "set-replaces-bits",
        "a set takes away the other bits",
        "tree",
        "            state.state |= bits & self._stored\n            self._merge_state(state)\n",
        "            state.state = bits & self._stored\n            self._merge_state(state)\n",
    ),
    Fault(
        "control-bits-stored",
        "control bits are stored",
        "tree",
        "self._stored = 0xFFFFFFFF & ~bits.ctlbits",
        "self._stored = 0xFFFFFFFF",
        survives="no set passes a control bit, and there is none to be cleared",
    ),
    Fault(
        "clear-all-keeps-a-bit",
        "CLEAR_ALL_BITS leaves NODATASUM, NEED_WAIT and whatever lies above",
        "tree",
        "            return self._stored\n",
        "            return self._stored & 0xFF\n",
    ),
    Fault(
        "clear-all-is-a-bit",
        "CLEAR_ALL_BITS clears only what is named beside it",
        "tree",
        "if bits & self.bits.clear_all_bits:",
        "if False:",
    ),
    Fault(
        "noreserve-stays",
        "clearing DELALLOC leaves NORESERVE",
        "tree",
        "            bits |= self.bits.noreserve\n",
        "            pass\n",
    ),
    Fault(
        "empty-state-stays",
        "a state without bits stays in the tree",
        "tree",
        "        if state.state:\n            self._merge_state(state)\n",
        "        if state.state >= 0:\n            self._merge_state(state)\n",
    ),
    Fault(
        "cleared-not-merged",
        "a state that lost bits does not take in its neighbours",
        "tree",
        "        if state.state:\n            self._merge_state(state)\n        else:\n",
        "        if not state.state:\n",
    ),
    Fault(
        "clear-all-or-nothing",
        "a clear passes over states that have only some of the bits",
        "tree",
        "if not state.state & wanted:",
        "if state.state & wanted != wanted:",
    ),
    Fault(
        "convert-forgets-clear",
        "a conversion clears nothing",
        "tree",
        "self._clear_state_bit(state, clear_bits & self._stored, end)",
        "self._clear_state_bit(state, 0, end)",
    ),
    Fault(
        "convert-clears-first",
        "a conversion clears before it sets",
        "tree",
        "            state.state |= bits & self._stored\n"
        "            state = self._clear_state_bit(state, clear_bits & self._stored, end)\n",
        "            state = self._clear_state_bit(state, clear_bits & self._stored, end)\n"
        "            state.state |= bits & self._stored\n",
        survives="the state goes earlier; its later free looks like one that a cached reference put off",
    ),
)

# Going on, searching, releasing.
_WALKING = (
    Fault(
        "set-stops-after-one",
        "a set is done after its first state",
        "tree",
        "            self._merge_state(state)\n            if last_end >= end:\n",
        "            self._merge_state(state)\n            if True:\n",
    ),
    Fault(
        "clear-stops-after-one",
        "a clear is done after its first state",
        "tree",
        "                state = self._clear_state_bit(state, wanted, end)\n",
        "                self._clear_state_bit(state, wanted, end)\n                return DONE\n",
    ),
    Fault(
        "clear-stops-at-other-state",
        "a clear ends at the first state without the bits",
        "tree",
        "                state = self._next_search_state(state, end)\n            elif",
        "                return DONE\n            elif",
        survives="the clears concerned are followed by one that unlocks and clears the same bit",
    ),
    Fault(
        "search-finds-none-behind",
        "a search in a hole finds nothing",
        "index",
        "                following = node\n                node = node.left\n",
        "                node = node.left\n",
    ),
    Fault(
        "release-forgets-last",
        "a release leaves out the root",
        "tree",
        "self.erased += [state.ident for state in self.postorder()]\n        self.clear()",
        "self.erased += [state.ident for state in self.postorder()]\n"
        "        root = self.anchor.left\n"
        "        self.clear()\n"
        "        self.add_before(root, self.anchor)",
    ),
    Fault(
        "hole-drops-lock",
        "the lock is dropped after each hole filled, as in 6.12",
        "tree",
        "self._searches_again = behaviour.searches_again",
        "self._searches_again = True",
    ),
    Fault(
        "trims-in-place",
        "clearing the end of a state moves its end, as after 6.18",
        "tree",
        "self._trims = behaviour.trims_in_place",
        "self._trims = True",
    ),
)

# The red-black tree: its shape decides which neighbour takes in what fills a hole.
_SHAPE = (
    Fault(
        "no-rebalance-after-insert",
        "the tree is not rebalanced after an insertion",
        "index",
        "        rebalance_after_insert(anchor, state)\n",
        "        state.red = False\n",
    ),
    Fault(
        "no-inner-rotation",
        "an insertion between parent and grandparent does not rotate twice",
        "rbtree",
        "        if node is parent.right:\n            _rotate_left(parent)\n            parent = node\n",
        "",
    ),
    Fault(
        "no-recolour",
        "a red uncle is not taken into account",
        "rbtree",
        "        if not uncle.red:\n",
        "        if True:\n",
    ),
    Fault(
        "no-rebalance-after-erase",
        "the tree is not rebalanced after a removal",
        "rbtree",
        "    elif not node.red and parent is not anchor:\n        _rebalance_after_erase(anchor, parent)\n",
        "",
    ),
    Fault(
        "erase-keeps-colour",
        "the successor keeps its own colour when it takes a removed state's place",
        "rbtree",
        "    successor.red = node.red\n",
        "",
    ),
)

FAULTS = (*_MERGING, *_SPLITTING, *_HOLES, *_LOCKS, *_BITS, *_WALKING, *_SHAPE)
"""Every fault."""
