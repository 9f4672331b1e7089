# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the model's engine along a record: the kernel says who calls what when, the model what comes of it.

Each thread of the record is a stack of the model's functions, stopped between two of their sections under a
lock. A row of the record is either a call (of `btrfs_reada_add`, `btree_readahead_hook`, a work), which
begins a function; or something that the model's function must report there: which device, zone and block it
picks, what it finds in the zones, what it queues and lets go of. A section of a thread has its place
somewhere between two of the thread's rows. By default all sections up to the next report are run at once
behind a row; `delays` let them wait until others have gone on (`readahead_search.py` finds where it has to
be).

Given by the record are the calls, when threads get on, how reads end and which blocks are in memory.
"""

from __future__ import annotations

import io
import pickle
from bisect import bisect_right
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from harness.errors import UserError
from harness.judge.readahead_coverage import Coverage
from harness.judge.readahead_probes import NO_ADDRESS, SAID, ModelProbes, text
from harness.readahead.excerpt import Excerpt
from harness.readahead.record import Event, Kind, Request
from reference.machine import Blocked, Steps, Stop
from reference.machine.findings import Finding
from reference.readahead import Behaviour, BtrfsDevice, FsInfo, Key, Node, ReadaControl, Root, run
from reference.readahead.control import btrfs_reada_add, btrfs_reada_detach, btrfs_reada_wait
from reference.readahead.hook import btree_readahead_hook
from reference.readahead.machine import reada_start_machine_worker
from reference.readahead.work import reada_start_machine

__all__ = ["Disagreement", "Engine", "Replay", "Saved", "Waits"]


_OF_WAITERS = (Kind.WAIT, Kind.WAIT_RETURN, Kind.DETACH, Kind.WALK, Kind.WALK_END)
"""Rows that the engine's functions do not report."""


class Engine(NamedTuple):
    """The model's functions that a record calls: the reference's, or one with a fault in it."""

    add: Callable[[FsInfo, Root, Key, Key], Steps[ReadaControl | None]] = btrfs_reada_add
    wait: Callable[[FsInfo, ReadaControl], Steps[None]] = btrfs_reada_wait
    detach: Callable[[FsInfo, ReadaControl], Steps[None]] = btrfs_reada_detach
    hook: Callable[[FsInfo, Node | None, int, int], Steps[bool]] = btree_readahead_hook
    worker: Callable[[FsInfo], Steps[None]] = reada_start_machine_worker
    start: Callable[[FsInfo], Steps[None]] = reada_start_machine


Waits = Mapping[int, int | None]
"""Where the sections behind a row are interrupted: after how many of them, and until when.

Until a row of another thread is over, or (None) until the thread's own next row.
"""


class Disagreement(Exception):  # noqa: N818 - what is found is about kernel and model, not about the judge
    """The model does something else than the kernel."""

    def __init__(self, event: int, model: str) -> None:
        super().__init__(event, model)
        self.event = event
        """The row at which it shows."""
        self.model = model
        """What the model does there."""


@dataclass
class _Frame:
    """A function of the model under way in a thread."""

    pid: int
    opened: Kind
    steps: Steps[Any]
    reports: deque[Event] = field(default_factory=deque)
    """What it reported and the record has not said yet."""
    stop: Stop | None = None
    over: bool = False
    row: int = -1
    """The last row of it."""
    ran: int = 0
    """How many sections were run behind that row."""
    control: ReadaControl | None = None
    """The control of which it does not know yet where the kernel has it."""


class Saved(NamedTuple):
    """The replay between two rows, with no function under way."""

    at: int
    state: bytes


class Replay:
    """The model's engine along one record."""

    def __init__(
        self,
        events: Sequence[Event],
        requests: Sequence[Request],
        excerpt: Excerpt,
        engine: Engine | None = None,
        behaviour: Behaviour = Behaviour.linux_5_10,
    ) -> None:
        self.events = events
        self.requests = requests
        self.excerpt = excerpt
        self.engine = engine or Engine()
        self.delays: Mapping[int, Waits] = {}
        """By row: where its thread waits for others behind it."""
        self.at = 0
        """The row that is next."""
        self.compared: Counter[int] = Counter()
        """Rows that agreed, by kind."""
        self.ran: dict[int, int] = {}
        """How many sections were run behind a row at most, in all attempts."""
        self.coverage = Coverage()
        self._threads: defaultdict[int, list[_Frame]] = defaultdict(list)
        self._delayed: defaultdict[int, list[_Frame]] = defaultdict(list)
        self._current: _Frame | None = None
        self._addresses: dict[ReadaControl, int] = {}
        self._ends = _ends_of_submits(events)
        observer = _Watched(self._report, self._address, self.coverage)
        devices = [BtrfsDevice(device.devid, missing=device.missing) for device in excerpt.devices]
        self.fs_info = FsInfo(behaviour, excerpt, self, devices, observer=observer)
        self.coverage.fs_info = self.fs_info

    def run(self, until: int | None = None) -> None:
        """Replay up to before row `until`, or the end; raises Disagreement."""
        until = len(self.events) if until is None else until
        while self.at < until:
            self.step()

    def step(self) -> None:
        """Replay one row; raises Disagreement."""
        row = self.at
        frame = self._take(self.events[row])
        if frame is not None and not frame.over:
            self._behind(row, frame)
        for waiting in self._delayed.pop(row, ()):
            self._behind(waiting.row, waiting)
        self.at = row + 1

    @property
    def is_quiet(self) -> bool:
        """Whether no function is under way."""
        return not any(self._threads.values())

    def state(self) -> tuple[str, ...]:
        """Return the model's devices and their zones, a line each."""
        return tuple(line for device in self.fs_info.devices.values() for line in _device_lines(device))

    def save(self) -> Saved:
        """Return the state, to which `restore` can return; only while `is_quiet`."""
        out = io.BytesIO()
        pickler = pickle.Pickler(out, pickle.HIGHEST_PROTOCOL)
        pickler.persistent_id = self._name_of_what_stays  # type: ignore[method-assign]
        pickler.dump((self.fs_info, self._addresses, self.compared, self.coverage.taken))
        return Saved(self.at, out.getvalue())

    def restore(self, saved: Saved) -> None:
        """Go back to `saved`."""
        unpickler = pickle.Unpickler(io.BytesIO(saved.state))
        unpickler.persistent_load = self._what_stays  # type: ignore[method-assign]
        self.fs_info, self._addresses, self.compared, self.coverage.taken = unpickler.load()
        self.coverage.fs_info = self.fs_info
        self.at = saved.at
        self._threads.clear()
        self._delayed.clear()

    # What the engine asks for (`Reads`).

    def submit(self, device: BtrfsDevice, logical: int, mirror_num: int) -> Node | int | None:  # noqa: ARG002
        """Return what the record says came of it: the block, an error, or None if it was read."""
        assert self._current is not None
        err = self._end_of_submit(self._current.pid)
        if err is None:
            return None
        self.coverage.found(err)
        return err or self._node(logical)

    def page_locked(self, logical: int) -> bool:  # noqa: ARG002
        """Return False: when a thread gets on is what the record says."""
        return False

    # Rows.

    def _take(self, event: Event) -> _Frame | None:
        """Do what a row says, or hold it against what the model reports. Returns the thread's function."""
        frames = self._threads[event.pid]
        if (steps := self._called(event, frames)) is not None:
            return self._open(event, steps)
        if event.kind in _OF_WAITERS:
            self._waiter(event)
            return None
        if not frames:
            raise self._malformed(f"{text(event)}, but thread {event.pid} has called nothing")
        self._compare(event, frames[-1])
        return frames[-1] if not frames[-1].over or frames[-1].reports else frames.pop()

    def _called(self, event: Event, frames: Sequence[_Frame]) -> Steps[Any] | None:
        """Return the model's function that a row calls; None if it calls none."""
        match event.kind:
            case Kind.ADD:
                request = self._request(event.start)
                root = Root(event.logical, event.value)
                return self.engine.add(self.fs_info, root, request.key_start, request.key_end)
            case Kind.HOOK:
                node = None if event.err else self._node(event.logical)
                return self.engine.hook(self.fs_info, node, event.logical, event.err)
            case Kind.WORKER:
                return self.engine.worker(self.fs_info)
            case Kind.START if not frames:
                # btrfs_reada_wait() found no work left.
                return self.engine.start(self.fs_info)
        return None

    def _open(self, event: Event, steps: Steps[Any]) -> _Frame:
        frame = _Frame(event.pid, Kind(event.kind), steps)
        self._threads[event.pid].append(frame)
        self._section(frame)
        if frame.opened == Kind.START:
            while not frame.over:
                self._section(frame)
            return self._threads[event.pid].pop()
        return frame

    def _compare(self, event: Event, frame: _Frame) -> None:
        self._to_report(frame)
        if not frame.reports:
            why = frame.stop.why if frame.stop is not None else ""
            raise Disagreement(self.at, f"waits in {why}")
        report = frame.reports.popleft()
        if report.rc == NO_ADDRESS and event.kind == Kind.BLOCK and frame.control is not None:
            self._addresses[frame.control] = event.rc
            report, frame.control = report._replace(rc=event.rc), None
        if report.kind != event.kind or any(
            getattr(report, name) != getattr(event, name) for name in SAID.get(event.kind, ())
        ):
            raise Disagreement(self.at, text(report))
        self.compared[event.kind] += 1

    def _waiter(self, event: Event) -> None:
        """End a wait, which the model's control must allow, or detach."""
        if event.kind not in (Kind.WAIT_RETURN, Kind.DETACH):
            return
        here = (rc for rc, address in self._addresses.items() if address == event.rc and rc.alive)
        control = next(here, None)
        if control is None:
            raise Disagreement(self.at, f"has no control {event.rc:#x}")
        if event.kind == Kind.WAIT_RETURN and control.elems:
            raise Disagreement(self.at, f"{control} waits for {control.elems} blocks")
        let_go = self.engine.detach if event.kind == Kind.DETACH else self.engine.wait
        run(let_go(self.fs_info, control))
        self.compared[event.kind] += 1

    # Sections.

    def _behind(self, row: int, frame: _Frame) -> None:
        """Run the sections behind `row` up to the next report, or to where the thread has to wait."""
        if frame.row != row:
            frame.row, frame.ran = row, 0
        waits = self.delays.get(row, {})
        while not frame.reports and not frame.over:
            until = waits.get(frame.ran, row)
            if until is None or until > self.at:
                if until is not None:
                    self._delayed[until].append(frame)
                break
            if not self._section(frame):
                break
            frame.ran += 1
        self.ran[row] = max(frame.ran, self.ran.get(row, 0))

    def _to_report(self, frame: _Frame) -> None:
        """Run sections until something is reported or the function waits."""
        while not frame.reports and not frame.over and self._section(frame):
            pass

    def _section(self, frame: _Frame) -> bool:
        """Run one section; False if it has to wait for somebody."""
        if isinstance(frame.stop, Blocked) and not frame.stop.condition():
            return False
        self._current = frame
        self.coverage.at_work = frame.opened == Kind.WORKER
        try:
            frame.stop = next(frame.steps)
        except StopIteration as end:
            frame.over = True
            frame.reports.append(self._end(frame, end.value))
        except (Finding, AssertionError, ArithmeticError, AttributeError, LookupError, TypeError) as error:
            raise Disagreement(self.at, f"breaks down: {error!r}") from error
        return True

    def _end(self, frame: _Frame, result: Any) -> Event:
        match frame.opened:
            case Kind.ADD:
                return Event(0, Kind.ADD_RETURN, rc=0 if result is None else self._address(result))
            case Kind.HOOK:
                return Event(0, Kind.HOOK_RETURN, value=0 if result else -1)
            case _:
                return Event(0, Kind.WORKER_END)

    # What is asked while a section runs.

    def _report(self, event: Event) -> None:
        assert self._current is not None
        self._current.reports.append(event)

    def _address(self, rc: ReadaControl) -> int:
        assert self._current is not None
        if rc not in self._addresses:
            self._current.control = rc
        return self._addresses.get(rc, NO_ADDRESS)

    def _end_of_submit(self, pid: int) -> int | None:
        rows, ends = self._ends[pid]
        following = bisect_right(rows, self._last_row(pid))
        return ends[following] if following < len(rows) else None

    def _last_row(self, pid: int) -> int:
        """The row before the one at which the replay is, if it is the thread's turn."""
        return self.at - 1 if self.events[self.at].pid == pid else self.at

    def _request(self, number: int) -> Request:
        if number >= len(self.requests):
            raise self._malformed(f"request {number} is not among {len(self.requests)}")
        return self.requests[number]

    def _node(self, logical: int) -> Node:
        try:
            return self.excerpt.node(logical)
        except KeyError:
            raise self._malformed(f"block {logical} was read, but is not among those kept") from None

    def _malformed(self, what: str) -> UserError:
        return UserError(f"event {self.at:,} of the record: {what}: record the case again")

    def _name_of_what_stays(self, obj: object) -> str | None:
        if obj is self or obj is self.excerpt or obj is self.fs_info.observer:
            return "reads" if obj is self else "source" if obj is self.excerpt else "observer"
        return None

    def _what_stays(self, name: str) -> object:
        return {"reads": self, "source": self.excerpt, "observer": self.fs_info.observer}[name]


class _Watched(ModelProbes):
    """Probes on the model, with its branches counted."""

    def __init__(
        self,
        emit: Callable[[Event], None],
        address: Callable[[ReadaControl], int],
        coverage: Coverage,
    ) -> None:
        super().__init__(emit, address)
        self._coverage = coverage

    def entered(self, function: str, *arguments: object) -> None:
        """Tell the probes and the coverage."""
        self._coverage.entered(function, *arguments)
        super().entered(function, *arguments)

    def returned(self, function: str, result: int, *arguments: object) -> None:
        """Tell the probes and the coverage."""
        self._coverage.returned(function, result, *arguments)
        super().returned(function, result, *arguments)

    def submitted(self, device: BtrfsDevice, logical: int, mirror_num: int) -> None:
        """Tell the probes and the coverage."""
        self._coverage.submitted(device, logical, mirror_num)
        super().submitted(device, logical, mirror_num)


def _device_lines(device: BtrfsDevice) -> Iterator[str]:
    yield f"{device}, next {device.reada_next}, {len(device.reada_extents)} extents queued"
    for _, zone in device.reada_zones:
        current = ", current" if zone is device.reada_curr_zone else ""
        yield f"  zone [{zone.start}, {zone.end}]: {zone.elems} elements, locked {zone.locked}{current}"


def _ends_of_submits(events: Sequence[Event]) -> defaultdict[int, tuple[list[int], list[int | None]]]:
    """For each thread the rows of its SUBMITs, and with which error each ended at once; None: it did not."""
    found: defaultdict[int, tuple[list[int], list[int | None]]] = defaultdict(lambda: ([], []))
    hooks: Counter[int] = Counter()
    """By thread, within how many hooks it is: one that completes meanwhile says nothing of the SUBMIT."""
    open_submits: set[int] = set()
    for row, event in enumerate(events):
        pid = event.pid
        hooks[pid] += (event.kind == Kind.HOOK) - (event.kind == Kind.HOOK_RETURN)
        if hooks[pid] or event.kind == Kind.HOOK_RETURN:
            continue
        if event.kind == Kind.SUBMIT:
            found[pid][0].append(row)
            found[pid][1].append(None)
            open_submits.add(pid)
        elif pid in open_submits:
            open_submits.discard(pid)
            if event.kind == Kind.HOOK_WORK:
                found[pid][1][-1] = event.err
    return found
