# SPDX-License-Identifier: GPL-2.0-or-later
"""How `bch_btree_check` shares the children of the root among threads (btree.c)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

__all__ = ["BCH_BTR_CHKTHREAD_MAX", "CheckState", "bch_btree_check", "bch_btree_chkthread_nr"]

BCH_BTR_CHKTHREAD_MAX = 12


def bch_btree_chkthread_nr(online_cpus: int) -> int:
    """Return how many threads check: half as many as there are CPUs.

    >>> [bch_btree_chkthread_nr(cpus) for cpus in (1, 2, 5, 64)]
    [1, 1, 2, 12]
    """
    return min(max(online_cpus // 2, 1), BCH_BTR_CHKTHREAD_MAX)


@dataclass
class CheckState:
    """`struct btree_check_state`."""

    keys: int
    """How many children the root has; at least one, or the kernel BUGs."""
    key_idx: int = 0
    enough: bool = False
    """A thread came to the end: no more need to be started."""
    checked: list[tuple[int, int]] = field(default_factory=list)
    """Which thread checked which child, in order."""


def bch_btree_check(keys: int, threads: int, choose: Callable[[int], int]) -> CheckState:
    """Check the children of a root of `keys`, with `choose` saying which of so many goes on next.

    A thread is started at any time until one has come to the end. Each step of a thread is one number that
    it takes under the lock, and the child that goes with it.
    """
    assert keys > 0
    state = CheckState(keys)
    started = 0
    running: list[Iterator[None]] = []
    while True:
        may_start = started < threads and not state.enough
        if not running and not may_start:
            return state
        chosen = choose(len(running) + may_start)
        if chosen == len(running):
            running.append(_thread(state, started))
            started += 1
        elif next(running[chosen], running) is running:
            del running[chosen]


def _thread(state: CheckState, number: int) -> Iterator[None]:
    """`bch_btree_check_thread`: take the next number, go there from where it was, check what is there."""
    at = previous = 0
    while True:
        current = state.key_idx
        state.key_idx += 1
        at += current - previous
        if at >= state.keys:
            state.enough = True
            return
        yield
        state.checked.append((number, at))
        previous = current
        yield
