# SPDX-License-Identifier: GPL-2.0-or-later
"""What the model says of calls of which several were under way at a time.

Each file has one model, which is given the calls in the order in which they began. What others did meanwhile
is told by their own events:

- **Pages.** A page is added by one call. So what a call found is what was there when it began and what others
  added before it returned; what it added itself it did not find.
- **Extent maps.** When two tasks load neighbours, either may come first, so a bio may end between the two or
  go on. That is left open only where a map was loaded by a call that may not have returned yet.
- **Locks.** A direct read that must not wait is refused a block that another one may be reading.
- **Pages on their way.** A buffered read that must not wait gets what has arrived, of its own pages and of
  those that others have added and not waited for; its caller is told.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from errno import EAGAIN

from harness.direct_io.calls import Call, Recorded
from harness.direct_io.chains import Chain
from harness.direct_io.damage import BLOCK
from harness.direct_io.record import Layout
from reference.direct_io.mainline import DirectCall, How, Outcome, Reader, Volume
from reference.direct_io.source import ExtentType, FileExtent, Request
from reference.readahead.source import Stripe

__all__ = ["Freedom", "PredictedCall", "predict_calls"]


@dataclass(frozen=True)
class Freedom:
    """What of a call depends on others that are under way, so that more than one outcome is right."""

    cuts: frozenset[Stripe] = frozenset()
    """Places on devices where a bio may end, or go on."""
    refused: bool = False
    """It was refused the lock of a block that another call may have been reading."""
    arriving: bool = False
    """It must not wait for pages that are on their way: it returns what there is, or EAGAIN."""

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.cuts) or self.refused or self.arriving


@dataclass(frozen=True)
class PredictedCall:
    """What the model says of a call."""

    chain: Chain
    place: int
    """Of the call in its chain."""
    outcome: Outcome
    direct: Sequence[DirectCall]
    freedom: Freedom

    @property
    def call(self) -> Call:
        """The call."""
        return self.chain.calls[self.place]


def predict_calls(
    layout: Layout, recorded: Recorded, chains: Sequence[Chain], make: Callable[[Layout, int], Reader]
) -> Iterator[PredictedCall]:
    """Yield each call with what the model says of it, in the order in which they began."""
    places = {call.begin: (chain, place) for chain in chains for place, call in enumerate(chain.calls)}
    read = {call.file for call in recorded.calls}
    files = {number: _FileState(layout, recorded, number, make) for number in read}
    for call in recorded.calls:
        chain, place = places[call.begin]
        outcome, freedom = files[call.file].read(call, chain, place)
        direct = outcome.direct
        if call.queued and len(call.seen.direct) == 1 and outcome.submitted and not _is_buffered(outcome):
            # Bios may still be under way when the function looks, so it does not try once more.
            direct = direct[:1]
        yield PredictedCall(chain, place, outcome, direct, freedom)


class _FileState:
    """A file, and what is known of it as calls go by."""

    def __init__(
        self, layout: Layout, recorded: Recorded, number: int, make: Callable[[Layout, int], Reader]
    ) -> None:
        self._reader = make(layout, number)
        self._file = layout.files[number]
        self._volume = layout.volume
        self._pages = _Pages(recorded, number)
        self._calls = [call for call in recorded.calls if call.file == number]
        self._next = 0
        self._under_way: list[Call] = []
        self._loaded: dict[int, int] = {}
        """By number of an item: from which event on its map is certainly there."""
        self._vague: list[Call] = []
        """Calls of which it is not known what they loaded."""

    def read(self, call: Call, chain: Chain, place: int) -> tuple[Outcome, Freedom]:
        others = self._others(call)
        if gone := self._pages.come_to(call.begin):
            self._drop(gone)
        found = self._pages.found_by(call)
        self._reader.cache.assume(found)
        cuts = self._free_cuts(call, [other for other in others if call.together_with(other)])
        request = Request(call.offset, chain.vectors(place), call.length, pid=call.tid)
        outcome = self._reader.read(request, nowait=call.nowait)
        if _was_refused(chain, place, outcome) and any(map(call.meets, others)):
            self._vague.append(call)
            return _refused(outcome), Freedom(refused=True)
        waited_for = self._on_their_way(call, outcome) if call.nowait else []
        if _first_page(outcome) in waited_for and _stopped_at_once(chain, place, outcome):
            self._vague.append(call)
            return _refused(outcome), Freedom(arriving=True)
        self._note_loaded(call)
        return outcome, Freedom(cuts, arriving=bool(waited_for or (call.nowait and outcome.pages)))

    def _on_their_way(self, call: Call, outcome: Outcome) -> list[int]:
        """Return which pages that a call reads were added by others that have not waited for them."""
        not_waited = (one for one in self._calls[: self._next] if one.nowait or one.end > call.begin)
        added = {page for one in not_waited if one.phase == call.phase for page in one.seen.pages}
        parts = [part for part in outcome.parts if part.how is How.BUFFERED]
        return sorted(
            page
            for page in added
            if any(part.start < (page + 1) * BLOCK and page * BLOCK < part.end for part in parts)
        )

    def _others(self, call: Call) -> list[Call]:
        """Return those that may be under way while this one is."""
        self._under_way = [one for one in self._under_way if one.under_way > call.begin]
        before = list(self._under_way)
        self._under_way.append(call)
        self._next += 1
        behind = self._next
        while behind < len(self._calls) and self._calls[behind].begin < call.under_way:
            behind += 1
        return before + self._calls[self._next : behind]

    def _drop(self, gone: Sequence[int]) -> None:
        """Let go of pages, and of the maps that begin with them."""
        self._reader.cache.assume(gone)
        self._reader.cache.drop()
        self._loaded.clear()

    def _free_cuts(self, call: Call, others: Sequence[Call]) -> frozenset[Stripe]:
        """Return where bios of a call may end or not: between items that others may just be loading."""
        items = self._file.items
        others = [*others, *self._vague]
        first = max(self._file.item_before(call.offset), 0)
        found: set[Stripe] = set()
        for number in range(first, self._file.item_before(call.last - 1)):
            one, behind = items[number], items[number + 1]
            known = max(self._loaded.get(number, call.end), self._loaded.get(number + 1, call.end))
            reached = any(other.offset < behind.end and one.file_offset < other.last for other in others)
            if known > call.begin and reached and _touch(one, behind):
                found |= _places(behind, self._volume)
        return frozenset(found)

    def _note_loaded(self, call: Call) -> None:
        first = max(self._file.item_before(call.offset), 0)
        for number in range(first, self._file.item_before(call.last - 1) + 1):
            place = max(self._file.items[number].file_offset, call.offset)
            if self._reader.maps.lookup(place) is not None:
                self._loaded[number] = min(self._loaded.get(number, call.end), call.end)


class _Pages:
    """The pages of a file, as events tell."""

    def __init__(self, recorded: Recorded, file: int) -> None:
        self._added = [(row, page) for row, of, page in recorded.added if of == file]
        self._changes = sorted(
            [(row, True, page) for row, page in self._added]
            + [(row, False, page) for row, of, page in recorded.removed if of == file]
        )
        self._next = 0
        self._there: set[int] = set()

    def come_to(self, event: int) -> list[int]:
        """Note what is there before an event; return what was taken out since this was last called."""
        gone = []
        while self._next < len(self._changes) and self._changes[self._next][0] < event:
            _, added, page = self._changes[self._next]
            if added:
                self._there.add(page)
            else:
                self._there.discard(page)
                gone.append(page)
            self._next += 1
        return gone

    def found_by(self, call: Call) -> set[int]:
        """Return what a call that begins now can have found there."""
        begin = bisect_left(self._added, (call.begin, 0))
        end = bisect_left(self._added, (call.end, 0))
        during = {page for _, page in self._added[begin:end]}
        return self._there | (during - set(call.seen.pages))


def _is_buffered(outcome: Outcome) -> bool:
    """Whether some of it is read through the page cache."""
    return any(part.how is How.BUFFERED for part in outcome.parts)


def _was_refused(chain: Chain, place: int, outcome: Outcome) -> bool:
    """Whether a direct read that must not wait ended before it began, which the model does not say."""
    call = chain.calls[place]
    nothing = not call.seen.bios and not call.seen.pages and len(call.seen.direct) == 1
    refused = call.nowait and chain.observed(place) == -EAGAIN
    return refused and nothing and outcome.returned != -EAGAIN


def _first_page(outcome: Outcome) -> int | None:
    """Return which page is the first that is read through the page cache."""
    return next((part.start // BLOCK for part in outcome.parts if part.how is How.BUFFERED), None)


def _stopped_at_once(chain: Chain, place: int, outcome: Outcome) -> bool:
    """Whether a read through the page cache that must not wait ended at its first page.

    `filemap_get_pages` (mm/filemap.c) looks at pages that are there before it asks for those behind them.
    """
    call = chain.calls[place]
    nothing = not call.seen.bios and not call.seen.pages
    return bool(nothing and outcome.pages and chain.observed(place) == -EAGAIN)


def _refused(outcome: Outcome) -> Outcome:
    return Outcome(returned=-EAGAIN, direct=outcome.direct[:1])


def _touch(one: FileExtent, behind: FileExtent) -> bool:
    """Whether the maps of two items are merged (`mergeable_maps`), and are read from devices."""
    plain = all(
        item.type is ExtentType.REG and item.disk_bytenr and not item.compression for item in (one, behind)
    )
    there = one.disk_bytenr + one.offset + one.num_bytes == behind.disk_bytenr + behind.offset
    return plain and one.end == behind.file_offset and there


def _places(item: FileExtent, volume: Volume) -> set[Stripe]:
    """Return where an item begins, on each device that has it."""
    mapping = volume.chunks.map_block(item.disk_bytenr + item.offset)
    return set(mapping.stripes) if mapping else set()
