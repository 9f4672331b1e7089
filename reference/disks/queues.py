# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests, and the orders in which they are served."""

from __future__ import annotations

from bisect import bisect_left, insort
from enum import Enum
from typing import NamedTuple

__all__ = ["Policy", "Request", "SortedQueue", "c_look"]


class Request(NamedTuple):
    """A read of `nbytes` at `byte` of a disk."""

    byte: int
    number: int
    """Counts the requests to this disk from 0, in the order in which they came."""
    nbytes: int
    tag: int
    """The submitter's own."""
    submitted_ns: int


class Policy(Enum):
    """Who is next."""

    FIFO = "fifo"
    """Who came first (Linux: noop)."""
    C_LOOK = "c-look"
    """Who is next at or behind where the last one ended; if nobody, the first of all. One way, then back.

    What Linux's schedulers of 2011, deadline and CFQ, do with requests that are not late.
    """
    SHORTEST = "shortest"
    """Who is done first from where the arm and the platters are now: what command queueing (NCQ) is for."""


def c_look(requests: list[Request], behind: int) -> int:
    """Return which of `requests`, in order of place, follows on `behind`, the byte behind the one before."""
    following = bisect_left(requests, (behind,))
    return following if following < len(requests) else 0


class SortedQueue:
    """Requests that wait in the host until the disk takes them."""

    def __init__(self, policy: Policy) -> None:
        if policy is Policy.SHORTEST:
            raise ValueError("a host does not know where the platters are: take fifo or c-look")
        self.policy = policy
        self.waiting: list[Request] = []
        """In the order of place for C-LOOK, in the order of coming for FIFO."""

    def put(self, request: Request) -> None:
        """Let `request` wait."""
        if self.policy is Policy.FIFO:
            self.waiting.append(request)
        else:
            insort(self.waiting, request)

    def take(self, behind: int) -> Request:
        """Take out who is next after a request that ended in front of `behind`."""
        return self.waiting.pop(0 if self.policy is Policy.FIFO else c_look(self.waiting, behind))
