# SPDX-License-Identifier: GPL-2.0-or-later
"""Records written by the model in the kernel's place, for tests of the judge. They are labelled simulated.

Threads (readers, workers, ends of reads) run section by section in an order chosen by a seed, and probes
fire where the kernel's would: at an entry some time before the section that follows it, at a return some time
after the one before; under a lock at once.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Collection, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.bundle import Bundle, BundleWriter
from harness.judge.readahead_probes import ModelProbes
from harness.judge.readahead_replay import Engine
from harness.readahead.excerpt import Device, Excerpt, save_excerpt
from harness.readahead.record import EVENTS_FILE, Event, Kind, Request, save_record, table_of
from reference.machine import Blocked, Steps, Stop
from reference.readahead import Behaviour, BtrfsDevice, FsInfo, PendingReads, ReadaControl, Root, Source

__all__ = ["SimulatedKernel", "Wanted", "write_bundle"]

_AT_ONCE = (Kind.PICK_RETURN, Kind.DEV_RETURN, Kind.SUBMIT)
"""What is recorded before anybody else can go on: under a lock, or before the read is on its way."""


@dataclass(frozen=True)
class Wanted:
    """A readahead to be added."""

    root: Root
    request: Request
    waits: bool = True


@dataclass
class _Thread:
    pid: int
    program: Generator[Stop, None, None]
    stop: Stop | None = None
    late: deque[Event] = field(default_factory=deque)

    def can_go_on(self) -> bool:
        return not isinstance(self.stop, Blocked) or self.stop.condition()


class SimulatedKernel:
    """The model's engine with threads, recorded."""

    def __init__(
        self,
        source: Source,
        devices: Sequence[Device],
        wanted: Sequence[Wanted],
        seed: int = 1,
        *,
        workers: int = 2,
        ends: int = 2,
        switches: float = 0.2,
        late: float = 0.3,
        failing: Collection[int] = (),
        forgets: float = 0.0,
        engine: Engine | None = None,
        behaviour: Behaviour = Behaviour.linux_5_10,
    ) -> None:
        """`workers`, `ends`: threads for works and for ends of reads.

        `switches`: how likely another thread goes on after a section; `late`: how likely a probe fires late.
        Reads of `failing` blocks fail. `forgets`: how likely a block that was read is dropped from memory.
        """
        self.rows: list[Event] = []
        self.source = source
        self.devices = devices
        self.requests = [one.request for one in wanted]
        self._random = random.Random(seed)
        self._switches, self._late, self._forgets = switches, late, forgets
        self._failing = failing
        self._engine = engine or Engine()
        self._addresses: dict[ReadaControl, int] = {}
        self._reads = PendingReads(source, [device.devid for device in devices if device.missing])
        observer = ModelProbes(self._probe, self._address)
        btrfs_devices = [BtrfsDevice(device.devid, missing=device.missing) for device in devices]
        self.fs_info = FsInfo(behaviour, source, self._reads, btrfs_devices, observer=observer)
        self._left = len(wanted)
        programs = [
            *(self._reader(number, one) for number, one in enumerate(wanted)),
            *(self._worker() for _ in range(workers)),
            *(self._end() for _ in range(ends)),
        ]
        self._threads = [_Thread(100 + number, program) for number, program in enumerate(programs)]
        self._current = self._threads[0]

    def run(self) -> SimulatedKernel:
        """Run until all that was wanted is read."""
        while self._left or self._reads.pending or self.fs_info.reada_works_cnt:
            ready = [thread for thread in self._threads if thread.can_go_on()]
            if not ready:
                break
            if self._current not in ready or self._random.random() < self._switches:
                self._current = self._random.choice(ready)
            self._go_on(self._current)
        for thread in self._threads:
            self._fire(thread)
        return self

    def _go_on(self, thread: _Thread) -> None:
        self._fire(thread)
        try:
            thread.stop = next(thread.program)
        except StopIteration:
            thread.stop = Blocked(lambda: False, "over")
        kinds = [event.kind for event in thread.late]
        at_once = max((n for n, kind in enumerate(kinds, 1) if kind in _AT_ONCE), default=0)
        self._fire(thread, at_once if self._random.random() < self._late else None)

    def _fire(self, thread: _Thread, how_many: int | None = None) -> None:
        for _ in range(len(thread.late) if how_many is None else how_many):
            event = thread.late.popleft()
            self.rows.append(event._replace(time_ns=len(self.rows) * 1000, pid=thread.pid))

    def _probe(self, event: Event) -> None:
        self._current.late.append(event)

    def _address(self, rc: ReadaControl) -> int:
        return self._addresses.setdefault(rc, 0xFFFF888000000000 + 0x100 * len(self._addresses))

    # Programs of threads.

    def _reader(self, number: int, wanted: Wanted) -> Steps[None]:
        bytenr, generation = wanted.root
        self._probe(Event(0, Kind.ADD, logical=bytenr, start=number, value=generation))
        request = wanted.request
        rc = yield from self._engine.add(self.fs_info, wanted.root, request.key_start, request.key_end)
        self._probe(Event(0, Kind.ADD_RETURN, rc=0 if rc is None else self._address(rc)))
        if rc is not None:
            yield from self._let_go(rc, wanted.waits)
        self._left -= 1

    def _let_go(self, rc: ReadaControl, waits: bool) -> Steps[None]:
        if not waits:
            self._probe(Event(0, Kind.DETACH, rc=self._address(rc)))
            yield from self._engine.detach(self.fs_info, rc)
            return
        self._probe(Event(0, Kind.WAIT, rc=self._address(rc)))
        address = self._address(rc)
        yield from self._engine.wait(self.fs_info, rc)
        self._probe(Event(0, Kind.WAIT_RETURN, rc=address))

    def _worker(self) -> Steps[None]:
        fs_info = self.fs_info
        while True:
            yield Blocked(lambda: fs_info.readahead_workers > 0, "worker_thread()")
            fs_info.readahead_workers -= 1
            self._probe(Event(0, Kind.WORKER))
            yield from self._engine.worker(fs_info)
            self._probe(Event(0, Kind.WORKER_END))

    def _end(self) -> Steps[None]:
        reads = self._reads
        while True:
            yield Blocked(lambda: bool(reads.pending), "the disks")
            logical = self._random.choice(list(reads.pending))
            node, err = reads.end(logical, -5 if logical in self._failing else None)
            if self._random.random() < self._forgets:
                reads.in_memory.discard(logical)
            self._probe(Event(0, Kind.HOOK, logical=logical, err=err))
            found = yield from self._engine.hook(self.fs_info, node, logical, err)
            self._probe(Event(0, Kind.HOOK_RETURN, value=0 if found else -1))

    @property
    def excerpt(self) -> Excerpt:
        """The trees that the record is about."""
        return Excerpt.of(
            self.source, {row.logical for row in self.rows if row.kind == Kind.ADD}, self.devices
        )


def write_bundle(
    path: Path, kernel: SimulatedKernel, rows: Iterable[Event] | None = None, **manifest: Any
) -> Bundle:
    """Write a bundle as a case leaves it, labelled simulated; other `rows` or facts in place of its own."""
    writer = BundleWriter(path)
    events = table_of(kernel.rows if rows is None else rows)
    save_record(writer, events, kernel.requests)
    save_excerpt(writer, kernel.excerpt)
    writer.add_text("dmesg.txt", "readahead: simulated\n")
    writer.add_json("devices.json", {"before": {}, "after": {}})
    count = len(events["kind"])
    facts = {
        "run_id": "simulated",
        "case": {"id": "readahead/simulated", "suite": "readahead", "title": "simulated", "groups": []},
        "seed": 1,
        "kernel": {"release": "simulated", "version": "", "config_sha256": "", "source": "host"},
        "devices": {"kind": "loop"},
        "capture": {"method": EVENTS_FILE, "events": count, "lost": 0, "lost_reasons": {}, "features": []},
        "error": None,
        "data_mismatch": None,
        "data_verifications": 0,
        "dmesg_overrun": False,
    }
    return writer.finish({**facts, **manifest})
