# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults in merging, splitting and inserting states."""

from __future__ import annotations

from suites.extent_state.fault import (
    GROWING,
    INSERTING,
    NO_DIO_LOCKED,
    Fault,
)

__all__ = ["STATES"]

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
        absent=NO_DIO_LOCKED,
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
        "                    self._split_state(state, start)\n                    if last_end > end and (",
        "                    if last_end > end and (",
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
        "        if not (self._inserts_first or bits & self._no_merge):\n",
        "        if False:\n",
        absent=INSERTING,
    ),
    Fault(
        "hole-joins-locked",
        "a locked range that fills a hole joins an equal neighbour",
        "tree",
        "        if not (self._inserts_first or bits & self._no_merge):\n",
        "        if not self._inserts_first:\n",
        absent=INSERTING,
    ),
    Fault(
        "hole-joins-next-only",
        "what fills a hole between two equal states joins the next one, whatever the tree's shape",
        "tree",
        "if joins_next and (next_is_above or not joins_previous):",
        "if joins_next:",
        absent=INSERTING,
    ),
    Fault(
        "hole-joins-previous-first",
        "what fills a hole between two equal states joins the previous one, whatever the tree's shape",
        "tree",
        "if joins_next and (next_is_above or not joins_previous):",
        "if joins_next and not joins_previous:",
        absent=INSERTING,
    ),
    Fault(
        "hole-one-side-only",
        "what joins the next state does not take in the one before",
        "tree",
        "                self._merge_prev_state(following)\n",
        "",
        absent=INSERTING,
    ),
    Fault(
        "prealloc-used-though-joined",
        "a state that joins the one before it uses up the preallocation",
        "tree",
        "                previous.end = end\n",
        "                previous.end = end\n                self._take()\n",
        absent=INSERTING,
    ),
    Fault(
        "hole-joins-at-once",
        "what fills a hole goes into a neighbour that is equal, as from 6.7 on",
        "tree",
        "self._inserts_first = behaviour.inserts_before_merging",
        "self._inserts_first = False",
        absent=GROWING,
    ),
    Fault(
        "hole-inserted-first",
        "what fills a hole is inserted there and takes in its neighbours, as before 6.7",
        "tree",
        "self._inserts_first = behaviour.inserts_before_merging",
        "self._inserts_first = True",
        absent=INSERTING,
    ),
    Fault(
        "hole-not-merged",
        "what was inserted into a hole does not take in its neighbours",
        "tree",
        "        if self._inserts_first:\n            self._merge_state(state)\n",
        "",
        absent=GROWING,
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

STATES = (*_MERGING, *_SPLITTING, *_HOLES)
"""Faults in what becomes of single states."""
