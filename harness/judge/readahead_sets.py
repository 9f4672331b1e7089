# SPDX-License-Identifier: GPL-2.0-or-later
"""What a record must show whatever the engine's order: which blocks were read, from where, after which.

Nothing here runs the engine. What a range needs is said by the naive model (`reference/readahead/naive.py`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from harness.judge.readahead_probes import text
from harness.readahead.excerpt import Excerpt
from harness.readahead.record import Event, Kind, Request
from reference.readahead import Behaviour, Root
from reference.readahead.naive import blocks_to_read

__all__ = ["SetFinding", "set_findings"]


@dataclass
class SetFinding:
    """One invariant over a record."""

    name: str
    compared: int = 0
    wrong: list[tuple[int, str]] = field(default_factory=list)
    """(row, what is wrong there)."""

    def hold(self, good: bool, row: int, what: str) -> None:
        """Count one comparison."""
        self.compared += 1
        if not good:
            self.wrong.append((row, what))


@dataclass
class _Readahead:
    """One control's life in the record."""

    added: int
    root: Root
    request: Request
    wanted: dict[int, int] = field(default_factory=dict)
    """Block -> row of its BLOCK."""
    refused: set[int] = field(default_factory=set)
    """Blocks that could not be queued."""
    waited: int | None = None
    """Row of WAIT_RETURN."""


class _Reader:
    """Goes through a record once."""

    def __init__(self, events: Sequence[Event], requests: Sequence[Request], excerpt: Excerpt) -> None:
        self.events = events
        self.requests = requests
        self.excerpt = excerpt
        self.readaheads: list[_Readahead] = []
        self.hooks: defaultdict[int, list[int]] = defaultdict(list)
        """Block -> rows of its HOOK_WORKs."""
        self.errors: dict[int, int] = {}
        """Row of a HOOK_WORK -> its error."""
        self.once = SetFinding("each block read once until it is over")
        self.mirrors = SetFinding("each block read from a copy of its own")
        self.parents = SetFinding("no block wanted before its parent was read")
        self._by_address: dict[int, _Readahead] = {}
        self._adding: dict[int, _Readahead] = {}
        self._parents: defaultdict[int, list[int]] = defaultdict(list)
        """Thread -> blocks whose hooks it is in."""
        self._blocks: defaultdict[int, list[tuple[_Readahead | None, int]]] = defaultdict(list)
        self._devices: dict[int, int] = {}
        """Thread -> device whose turn it is."""
        self._under_way: Counter[int] = Counter()

    def read(self) -> None:
        """Go through all rows."""
        for row, event in enumerate(self.events):
            match event.kind:
                case Kind.ADD:
                    root = Root(event.logical, event.value)
                    self._adding[event.pid] = _Readahead(row, root, self.requests[event.start])
                    self.readaheads.append(self._adding[event.pid])
                case Kind.ADD_RETURN:
                    self._adding.pop(event.pid, None)
                case Kind.BLOCK:
                    self._block(row, event)
                case Kind.BLOCK_RETURN if event.value and self._blocks[event.pid]:
                    readahead, logical = self._blocks[event.pid][-1]
                    self._refused(readahead, logical)
                case Kind.DEV_ENTER:
                    self._devices[event.pid] = event.devid
                case Kind.SUBMIT:
                    self._submit(row, event)
                case Kind.HOOK_WORK:
                    self._parents[event.pid].append(event.logical)
                    self.hooks[event.logical].append(row)
                    self.errors[row] = event.err
                    self._under_way[event.logical] = 0
                case Kind.HOOK_WORK_END if self._parents[event.pid]:
                    self._parents[event.pid].pop()
                case Kind.WAIT_RETURN if event.rc in self._by_address:
                    self._by_address[event.rc].waited = row

    def _block(self, row: int, event: Event) -> None:
        pid = event.pid
        adding = self._adding.get(pid)
        if adding is not None and not self._parents[pid]:
            self._by_address[event.rc] = adding
            good = event.logical == adding.root.bytenr
        else:
            parent = self._parents[pid][-1] if self._parents[pid] else None
            node = self.excerpt.nodes.get(parent) if parent is not None else None
            good = node is not None and event.logical in node.blockptrs
        self.parents.hold(good, row, text(event))
        readahead = self._by_address.get(event.rc)
        self._blocks[pid] = [(readahead, event.logical)]
        if readahead is not None:
            again = event.logical in readahead.wanted
            self.parents.hold(not again, row, f"{text(event)}: for the second time")
            readahead.wanted.setdefault(event.logical, row)

    def _refused(self, readahead: _Readahead | None, logical: int) -> None:
        if readahead is not None:
            readahead.refused.add(logical)

    def _submit(self, row: int, event: Event) -> None:
        self._under_way[event.logical] += 1
        times = self._under_way[event.logical]
        self.once.hold(times == 1, row, f"{text(event)}: {times} times before it was over")
        mapping = self.excerpt.mappings.get(event.logical)
        devids = [stripe.devid for stripe in mapping.stripes] if mapping else []
        device = self._devices.get(event.pid)
        # Copies behind one on a missing device are counted wrongly (docs/readahead.md).
        missing = {one.devid for one in self.excerpt.devices if one.missing}
        numbers = {number for number, devid in enumerate(devids, 1) if devid == device}
        own = device in devids and (event.mirror in numbers or bool(missing & set(devids)))
        self.mirrors.hold(own, row, f"{text(event)} for device {device}, copies on {devids}")


def set_findings(
    events: Sequence[Event], requests: Sequence[Request], excerpt: Excerpt, behaviour: Behaviour
) -> list[SetFinding]:
    """Return what was found, invariant by invariant."""
    reader = _Reader(events, requests, excerpt)
    reader.read()
    ranges = SetFinding("blocks read are those of the range")
    for readahead in reader.readaheads:
        _hold_range(ranges, reader, readahead, behaviour)
    return [ranges, reader.once, reader.mirrors, reader.parents, _waits(reader)]


def _hold_range(found: SetFinding, reader: _Reader, readahead: _Readahead, behaviour: Behaviour) -> None:
    """Compare each block that was wanted, and each that should have been."""
    failing = {block for block in readahead.wanted if _failed(reader, readahead, block)}
    left_out = set(_unfit(reader.excerpt, behaviour))
    first, last = readahead.request.key_start, readahead.request.key_end
    # What cannot be read and was not, though it should have been, is wrong anyway.
    failing |= reader.excerpt.mappings.keys() - reader.excerpt.nodes.keys() - readahead.wanted.keys()
    expected = set(blocks_to_read(reader.excerpt, readahead.root, first, last, failing, left_out))
    wanted = readahead.wanted.keys() - readahead.refused
    for block in sorted(wanted | expected):
        what = "was not wanted" if block in expected else "is not in the range, or cannot be read ahead"
        row = readahead.wanted.get(block, readahead.added)
        found.hold(block in wanted and block in expected, row, f"block {block} {what}")


def _failed(reader: _Reader, readahead: _Readahead, block: int) -> bool:
    """Whether the read for this readahead ended with an error, or never."""
    row = _hook_after(reader, block, readahead.wanted[block])
    return row is None or bool(reader.errors[row])


def _hook_after(reader: _Reader, block: int, row: int) -> int | None:
    rows = reader.hooks[block]
    following = bisect_left(rows, row)
    return rows[following] if following < len(rows) else None


def _unfit(excerpt: Excerpt, behaviour: Behaviour) -> Iterator[int]:
    """Yield the blocks that have no chunk, too many copies, or all copies on missing devices."""
    missing = {device.devid for device in excerpt.devices if device.missing}
    for block, mapping in excerpt.mappings.items():
        devids = [stripe.devid for stripe in mapping.stripes] if mapping else []
        if not set(devids) - missing or len(devids) > behaviour.max_mirrors or excerpt.groups[block] is None:
            yield block


def _waits(reader: _Reader) -> SetFinding:
    """Hold that a wait ends when all that its readahead wanted is over."""
    found = SetFinding("waits end when all is read")
    for readahead in reader.readaheads:
        if readahead.waited is None:
            continue
        for block in readahead.wanted.keys() - readahead.refused:
            row = _hook_after(reader, block, readahead.wanted[block])
            over = row is not None and row < readahead.waited
            found.hold(over, readahead.waited, f"block {block} was still to be read")
    return found
