# SPDX-License-Identifier: GPL-2.0-or-later
"""Searches for an order of the engine's sections that agrees with a record, where the rows leave it open.

A row tells that a thread has come to a place, not when it had the lock. Where rows of several threads lie in
each other's way, a thread is let wait between two of its sections until another's row is over. Tried are
single delays, the nearest first, then pairs. A delay stays when with it the model comes beyond the row at
which it disagreed. What no order can bring about stays a disagreement.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, combinations, islice, zip_longest

from harness.judge.readahead_replay import Disagreement, Replay, Saved, Waits

__all__ = ["MOST_ROWS", "Search"]

_SAVED_EVERY = 200
"""Rows between two states that are kept, at least."""
_KEPT = 6
"""States kept to go back to."""
_NEAR = 600
"""Rows before a disagreement in which its reason is looked for."""
MOST_ROWS = 2_000_000
"""Rows replayed for one disagreement: a minute or two."""
_MORE = 4
"""So many sections more than behind a row were seen there can be in another order."""
_PAIRED = 60
"""Delays that are tried in pairs."""


class Search:
    """Replays a record to its end, or to where no order was found that agrees."""

    def __init__(self, replay: Replay, *, rows: int = MOST_ROWS) -> None:
        self.replay = replay
        self.disagreement: Disagreement | None = None
        """Where kernel and model part for good; None if they never do."""
        self.delays: dict[int, Waits] = {}
        """Behind which rows a thread has to wait, and until when (`Replay.delays`)."""
        self.resolved = 0
        """Disagreements for which another order was found."""
        self.tried = 0
        self.cut_off = False
        """Whether the search for the last of them was given up."""
        self._rows = rows
        self._saved: list[Saved] = [replay.save()]
        self._next_of_thread = _next_of_thread(replay)

    def run(self) -> None:
        """Replay; the outcome is in `disagreement`."""
        while self.replay.at < len(self.replay.events):
            try:
                self._step()
            except Disagreement as found:
                if not self._explain(found):
                    self.disagreement = found
                    self._return_to(found)
                    return
                self.resolved += 1

    def _step(self) -> None:
        replay = self.replay
        if replay.is_quiet and replay.at >= self._saved[-1].at + _SAVED_EVERY:
            self._saved = [*self._saved[-_KEPT:], replay.save()]
        replay.step()

    def _explain(self, found: Disagreement) -> bool:
        """Find delays with which the model comes beyond `found`, and leave the replay there."""
        singles = ([one] for one in self._candidates(found.event))
        nearest = islice(self._candidates(found.event), _PAIRED)
        pairs = (list(two) for two in combinations(nearest, 2) if two[0][0] != two[1][0])
        left = self._rows
        for several in chain(singles, pairs):
            if left <= 0:
                self.cut_off = True
                return False
            self.tried += 1
            first = min(row for row, _ in several)
            if self._passes(found.event, first, self.delays | dict(several)):
                self._saved = [saved for saved in self._saved if saved.at <= first]
                self.delays |= dict(several)
                return True
            left -= self.replay.at - self._saved_before(first).at
        return False

    def _candidates(self, row: int) -> Iterator[tuple[int, Waits]]:
        """Yield other delays behind rows whose threads went on while others did.

        First of the thread that disagrees, then the nearest to `row`.
        """
        following, ran = self._next_of_thread, self.replay.ran
        near = [
            before
            for before in range(row - 1, self._saved[0].at - 1, -1)
            # What is behind the last row of a thread can be long due.
            if before in ran and (before >= row - _NEAR or following[before] >= row)
            if following[before] > before + 1
        ]
        near.sort(key=lambda before: following[before] != row)
        kinds = [self._other_waits(before, min(following[before], row)) for before in near]
        for of_a_kind in zip_longest(*kinds):
            for candidate in of_a_kind:
                if candidate is not None and self.delays.get(candidate[0]) != candidate[1]:
                    yield candidate

    def _other_waits(self, row: int, end: int) -> Iterator[tuple[int, Waits]]:
        """Yield ways to wait behind `row`: as long as can be, until a row before `end`, and both."""
        sections = range(self.replay.ran[row] + _MORE)
        # What agreed so far most likely stays as it was: the latest rows first.
        rows = range(end - 1, row, -1)
        yield from ((row, {section: None}) for section in sections)
        yield from ((row, {section: until}) for until in rows for section in sections)
        for section, until in self.delays.get(row, {}).items():
            for later in range(section + 1, len(sections)):
                if until is None:
                    yield from ((row, {section: before, later: None}) for before in rows)
                else:
                    yield from (
                        (row, {section: until, later: then}) for then in (None, *rows) if then != until
                    )

    def _passes(self, row: int, first: int, delays: dict[int, Waits]) -> bool:
        replay = self.replay
        replay.restore(self._saved_before(first))
        replay.delays = delays
        try:
            replay.run(row + 1)
        except Disagreement:
            replay.delays = self.delays
            return False
        return True

    def _saved_before(self, row: int) -> Saved:
        return next(saved for saved in reversed(self._saved) if saved.at <= row)

    def _return_to(self, found: Disagreement) -> None:
        """Leave the replay as it was when it came to the disagreement that stays."""
        self.replay.delays = self.delays
        self.replay.restore(self._saved[-1])
        try:
            self.replay.run(found.event + 1)
        except Disagreement:
            return
        raise AssertionError("a replay does not come out the same twice")


def _next_of_thread(replay: Replay) -> list[int]:
    """For each row the next one of its thread; the number of rows if there is none."""
    following = [len(replay.events)] * len(replay.events)
    last: dict[int, int] = {}
    for row, event in enumerate(replay.events):
        if event.pid in last:
            following[last[event.pid]] = row
        last[event.pid] = row
    return following
