# SPDX-License-Identifier: GPL-2.0-or-later
"""The states that an exploration met and the steps between them, to see from which there is no end."""

from __future__ import annotations

from reference.machine.run import Schedule

__all__ = ["StateGraph"]


class StateGraph:
    """States by number, in the order in which they were met; 0 is the start.

    >>> graph = StateGraph()
    >>> start = graph.enter(b"start")
    >>> fork = graph.enter(b"fork", start, "A")
    >>> end, spin = graph.enter(b"end", fork, "A"), graph.enter(b"spin", fork, "B")
    >>> graph.enter(b"spin", spin, "B") == spin
    True
    >>> graph.ends.append(end)
    >>> graph.endless()
    ('A', 'B')
    """

    def __init__(self) -> None:
        self.ends: list[int] = []
        """States in which all has ended or something was found."""
        self._numbers: dict[bytes, int] = {}
        self._from: list[list[int]] = []
        self._first: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._from)

    def enter(self, digest: bytes, origin: int = -1, choice: str = "") -> int:
        """Return the number of a state that was come to from `origin` by `choice`."""
        number = self._numbers.setdefault(digest, len(self._from))
        if number == len(self._from):
            self._from.append([])
            self._first.append((origin, choice))
        if origin >= 0:
            self._from[number].append(origin)
        return number

    def endless(self) -> Schedule | None:
        """Return the shortest known schedule to a state from which no end can be reached, or None."""
        ending = set(self.ends)
        waiting = list(ending)
        while waiting:
            origins = [origin for origin in self._from[waiting.pop()] if origin not in ending]
            ending.update(origins)
            waiting += origins
        endless = [self._schedule(number) for number in range(len(self)) if number not in ending]
        return min(endless, key=len, default=None)

    def _schedule(self, number: int) -> Schedule:
        choices: list[str] = []
        while number > 0:
            number, choice = self._first[number]
            choices.append(choice)
        return tuple(reversed(choices))
