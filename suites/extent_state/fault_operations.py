# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults in locks, bits, walking and the red-black tree."""

from __future__ import annotations

from suites.extent_state.fault import (
    NO_DIO_LOCKED,
    ONE_HOLD,
    SEARCHING,
    SPLITTING,
    TRIMMING,
    Fault,
)

__all__ = ["OPERATIONS"]

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
        absent=NO_DIO_LOCKED,
    ),
    Fault(
        "locks-exclude-each-other",
        "DIO_LOCKED and LOCKED exclude each other",
        "tree",
        "            if state.state & exclusive:",
        "            if exclusive and state.state & self.bits.lock_bits:",
        absent=NO_DIO_LOCKED,
    ),
    Fault(
        "locks-with-others",
        "whether a lock that is asked for together with other bits is refused is turned round",
        "tree",
        "self._locks_alone = behaviour.locks_alone",
        "self._locks_alone = not behaviour.locks_alone",
        survives_on=dict.fromkeys(
            ("linux_5_10", "linux_6_1", "linux_6_12"),
            "no lock is asked for together with other bits, but after read errors",
        ),
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
        "CLEAR_ALL_BITS leaves the bits above the eighth",
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
_UNCHANGED = "in these bundles no other operation changes its range between two of its allocations"
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
        "self.erased += [state.ident for state in order]\n        self.clear()",
        "self.erased += [state.ident for state in order]\n"
        "        root = self.anchor.left\n"
        "        self.clear()\n"
        "        self.add_before(root, self.anchor)",
        survives_on=dict.fromkeys(
            ("linux_5_10", "linux_6_1"),
            "trees are empty when they are released: free_log_tree() has cleared the bits of dirty_log_pages",
        ),
    ),
    Fault(
        "hole-drops-lock",
        "the lock is dropped after each hole filled, as before 6.16",
        "tree",
        "self._searches_again = behaviour.searches_again",
        "self._searches_again = True",
        absent=SEARCHING,
        survives_on={"linux_7_2": _UNCHANGED},
    ),
    Fault(
        "hole-keeps-lock",
        "the lock is kept after a hole is filled, as from 6.16 on",
        "tree",
        "self._searches_again = behaviour.searches_again",
        "self._searches_again = False",
        absent=ONE_HOLD,
        survives_on={"linux_5_10": _UNCHANGED},
    ),
    Fault(
        "trims-in-place",
        "clearing the end of a state moves its end, as from 7.1 on",
        "tree",
        "self._trims = behaviour.trims_in_place",
        "self._trims = True",
        absent=TRIMMING,
    ),
    Fault(
        "splits-to-erase",
        "clearing the end of a state splits it, as before 7.1",
        "tree",
        "self._trims = behaviour.trims_in_place",
        "self._trims = False",
        absent=SPLITTING,
    ),
    Fault(
        "release-other-order",
        "a release frees states in the other order of the two there were",
        "tree",
        "order = self if self.behaviour.releases_in_order else self.postorder()",
        "order = self.postorder() if self.behaviour.releases_in_order else self",
        survives="all of the states go; in which order they are freed is not compared",
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
        "        if node is parent.right:\n            _rotate_left(parent)\n            parent = node\n"
        "            rotations = 2\n",
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
        "    elif not node.red and parent is not anchor:\n"
        "        return _rebalance_after_erase(anchor, parent)\n",
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

OPERATIONS = (*_LOCKS, *_BITS, *_WALKING, *_SHAPE)
"""Faults in what operations do, and in the tree under them."""
