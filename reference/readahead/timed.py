# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine, or the traditional walk, over disks in virtual time. All of it is simulated.

Time begins at 0. What falls on the same time goes in this order: disks (by devid), processors, the wait's
looking after the engine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass
from heapq import heappop, heappush

from reference.disks import Disk, Disks, Served
from reference.machine import Deadlock
from reference.readahead.behaviour import Behaviour
from reference.readahead.engine import Readahead, run
from reference.readahead.source import MAX_KEY, MIN_KEY, Key, Node, Root, Source
from reference.readahead.structs import BtrfsDevice, Observer, ReadaControl
from reference.readahead.walk import walk
from reference.readahead.work import reada_start_machine

__all__ = ["CPU_NS_PER_BLOCK", "WAIT_NS", "Outcome", "TimedReadahead", "TimedWalks"]

CPU_NS_PER_BLOCK = 20_000
"""What a processor has to do for a block once it is read. Assumed, for a processor of 2011: the checksum of
16 KiB (crc32c with SSE 4.2, 5 us), four pages to be entered, an interrupt, a work, the items or children."""
WAIT_NS = 100_000_000
"""`btrfs_reada_wait` of 5.10 looks after the engine so often ((HZ + 9) / 10)."""


@dataclass(frozen=True)
class Outcome:
    """How long it took, and what the disks did."""

    what: str
    """Says what ran, and that it is simulated."""
    finished_ns: tuple[int, ...]
    """When each readahead or walk was done, in the order in which they were begun."""
    blocks: int
    """Blocks that were read from disks."""
    traces: Dictionary[int, list[Served]]
    """By devid; tags are logical addresses."""

    @property
    def seconds(self) -> float:
        """How long it took until all was done."""
        return max(self.finished_ns) / 1e9

    def __str__(self) -> str:
        return f"{self.what}: {self.blocks} blocks in {self.seconds:.3f} s"


class _Submitted(Observer):
    """Notes what the engine is about to read."""

    def __init__(self) -> None:
        self.blocks: list[int] = []

    def submitted(self, device: BtrfsDevice, logical: int, mirror_num: int) -> None:
        """Note the block (`Observer`)."""
        del device, mirror_num
        self.blocks.append(logical)


class TimedReadahead:
    """Readaheads over disks. One processor does what is to be done for blocks, in the order of completion.

    Picking what to read next takes no time of its own: it is part of what a block costs.
    """

    def __init__(
        self,
        source: Source,
        disks: Dictionary[int, Disk],
        behaviour: Behaviour = Behaviour.linux_5_10,
        cpu_ns: int = CPU_NS_PER_BLOCK,
        *,
        keeps_blocks: bool = True,
    ) -> None:
        self.disks = Disks(dict(disks))
        self.cpu_ns = cpu_ns
        self.now_ns = 0
        self._noted = _Submitted()
        self.engine = Readahead(
            source, sorted(disks), behaviour, observer=self._noted, keeps_blocks=keeps_blocks
        )
        self._completed: deque[tuple[int, int]] = deque()
        """Blocks that the processor has not looked at yet: when they were read, logical address."""
        self._processor_free_ns = 0
        self._waits: list[tuple[ReadaControl, int, int]] = []
        """Each readahead under way, its number, and when it looks after the engine next."""
        self._finished: list[int] = []

    def add(self, root: Root, key_start: Key = MIN_KEY, key_end: Key = MAX_KEY) -> None:
        """Begin a readahead now, and wait for it from now on; ValueError if the engine does not take it."""
        rc = self.engine.add(root, key_start, key_end)
        if rc is None:
            raise ValueError(f"the engine cannot read ahead from a root at {root.bytenr}")
        self._waits.append((rc, len(self._finished), self.now_ns + WAIT_NS))
        self._finished.append(self.now_ns)
        self._submit()

    def run(self) -> Outcome:
        """Let time go by until all readaheads are done; Deadlock if the engine stops before."""
        self._reap()
        while self._waits:
            self._step()
            self._reap()
        traces = {devid: disk.trace for devid, disk in self.disks.disks.items()}
        what = f"simulated readahead ({self.engine.fs_info.behaviour.name})"
        return Outcome(what, tuple(self._finished), sum(map(len, traces.values())), traces)

    def _step(self) -> None:
        disk_ns, devid = self.disks.next() or (None, 0)
        processor_ns = self._processor_ns()
        wait_ns = self._wait_ns()
        due = [time_ns for time_ns in (disk_ns, processor_ns, wait_ns) if time_ns is not None]
        if not due:
            raise Deadlock(f"{self._waits[0][0]} waits for blocks that nobody reads")
        self.now_ns = min(due)
        if disk_ns == self.now_ns:
            self._completed.append((self.now_ns, self.disks.complete(devid).tag))
        elif processor_ns == self.now_ns:
            self._processor_free_ns = self.now_ns
            self.engine.complete(self._completed.popleft()[1])
            self._submit()
        else:
            self._look_after()

    def _processor_ns(self) -> int | None:
        """Return when the processor is done with the block that was read first, if there is one."""
        if not self._completed:
            return None
        return max(self._processor_free_ns, self._completed[0][0]) + self.cpu_ns

    def _wait_ns(self) -> int | None:
        if not self.engine.fs_info.behaviour.wait_restarts:
            return None
        return min(wait_ns for _, _, wait_ns in self._waits)

    def _look_after(self) -> None:
        """Start the machine for each wait whose time has come (no work is ever left over when one does)."""
        for place, (rc, number, wait_ns) in enumerate(self._waits):
            if wait_ns == self.now_ns:
                self._waits[place] = (rc, number, wait_ns + WAIT_NS)
                run(reada_start_machine(self.engine.fs_info))
                self.engine.work()
        self._submit()
        if not self.engine.reads.pending and all(rc.elems for rc, _, _ in self._waits):
            raise Deadlock(f"{self._waits[0][0]} waits for blocks that nobody reads")

    def _submit(self) -> None:
        """Hand to the disks what the engine has submitted."""
        pending = self.engine.reads.pending
        nodesize = self.engine.fs_info.source.nodesize
        for logical in self._noted.blocks:
            if read := pending.get(logical):
                self.disks.submit(read.devid, self.now_ns, read.physical, nodesize, logical)
        self._noted.blocks.clear()

    def _reap(self) -> None:
        """Let go of readaheads that have all they wanted."""
        for rc, number, _ in self._waits:
            if not rc.elems:
                self._finished[number] = self.now_ns
                self.engine.wait(rc)
        self._waits = [wait for wait in self._waits if wait[0].elems]


class TimedWalks:
    """Traditional walks over disks, each with a processor of its own.

    What one has read is in memory for all, and who wants what is being read waits for it.
    """

    def __init__(self, source: Source, disks: Dictionary[int, Disk], cpu_ns: int = CPU_NS_PER_BLOCK) -> None:
        self.source = source
        self.disks = Disks(dict(disks))
        self.cpu_ns = cpu_ns
        self.now_ns = 0
        self._walks: list[tuple[Iterator[Node], int]] = []
        """Each walk and its process."""
        self._finished: list[int] = []
        self._in_memory: set[int] = set()
        self._readers: dict[int, list[int]] = {}
        """The blocks that are being read, with the numbers of the walks that wait for them."""
        self._busy: list[tuple[int, int]] = []
        """When processors are done with a block, and for which walk; a heap."""

    def add(self, root: Root, key_start: Key = MIN_KEY, key_end: Key = MAX_KEY, pid: int = 0) -> None:
        """Begin a walk now.

        Of several copies a process always reads the same one, that of its `pid` modulo their number
        (`find_live_mirror` in fs/btrfs/volumes.c, 2011 to 5.10).
        """
        number = len(self._walks)
        self._walks.append((walk(self.source, root.bytenr, key_start, key_end), pid))
        self._finished.append(self.now_ns)
        self._read_next(number)

    def run(self) -> Outcome:
        """Let time go by until all walks are done."""
        while self._readers or self._busy:
            self._step()
        traces = {devid: disk.trace for devid, disk in self.disks.disks.items()}
        return Outcome("simulated walk", tuple(self._finished), sum(map(len, traces.values())), traces)

    def _step(self) -> None:
        disk = self.disks.next()
        if disk is not None and (not self._busy or disk[0] <= self._busy[0][0]):
            self.now_ns = disk[0]
            logical = self.disks.complete(disk[1]).tag
            self._in_memory.add(logical)
            for number in self._readers.pop(logical):
                heappush(self._busy, (self.now_ns + self.cpu_ns, number))
        else:
            self.now_ns, number = heappop(self._busy)
            self._read_next(number)

    def _read_next(self, number: int) -> None:
        nodes, pid = self._walks[number]
        node = next(nodes, None)
        if node is None:
            self._finished[number] = self.now_ns
        elif node.bytenr in self._in_memory:
            heappush(self._busy, (self.now_ns + self.cpu_ns, number))
        elif node.bytenr in self._readers:
            self._readers[node.bytenr].append(number)
        else:
            self._readers[node.bytenr] = [number]
            self._submit(node.bytenr, pid)

    def _submit(self, logical: int, pid: int) -> None:
        mapping = self.source.map_block(logical)
        if mapping is None:
            raise ValueError(f"no chunk has the block at {logical}")
        copies = len(mapping.stripes) - mapping.num_tgtdevs
        stripe = mapping.stripes[pid % copies]
        self.disks.submit(stripe.devid, self.now_ns, stripe.physical, self.source.nodesize, logical)
