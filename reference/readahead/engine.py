# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine with everything that it needs to run, one call at a time, and reads that wait for the caller."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from errno import EIO
from typing import NamedTuple, TypeVar

from reference.machine import Blocked, Deadlock, Steps
from reference.readahead.behaviour import Behaviour
from reference.readahead.control import btrfs_reada_add, btrfs_reada_detach, btrfs_reada_wait
from reference.readahead.hook import btree_readahead_hook
from reference.readahead.invariants import validate
from reference.readahead.machine import reada_start_machine_worker
from reference.readahead.source import MAX_KEY, MIN_KEY, Key, Node, Root, Source
from reference.readahead.structs import BtrfsDevice, FsInfo, Observer, ReadaControl
from reference.readahead.work import reada_start_machine

__all__ = ["PendingReads", "Read", "Readahead", "run"]

T = TypeVar("T")


def run(steps: Steps[T]) -> T:
    """Run a function of the engine to its end with nothing in between; Deadlock if it has to wait.

    `reference.machine.run_alone` does the same with interrupts and diagnosis, for ten times the time.
    """
    try:
        while True:
            stop = next(steps)
            if isinstance(stop, Blocked) and not stop.condition():
                raise Deadlock(f"nobody is left who could end {stop.why}")
    except StopIteration as end:
        result: T = end.value
        return result


class Read(NamedTuple):
    """A read that is under way."""

    devid: int
    """The device that holds the copy; for 5.10 with missing devices not always the one that picked it."""
    physical: int
    """Where the copy is, bytes."""
    logical: int
    mirror_num: int
    """From 1; 0 where the engine does not say which."""
    picked_by: int
    """The devid of the device whose turn it was."""
    err: int
    """What it will end with unless told otherwise: -EIO on a missing device, else 0."""


class PendingReads:
    """Reads that were submitted and have not completed, and which blocks are in memory (`Reads`)."""

    def __init__(self, source: Source, missing: Collection[int] = (), *, keeps_blocks: bool = True) -> None:
        self.source = source
        self.missing = missing
        """Devids of missing devices."""
        self.keeps_blocks = keeps_blocks
        """Whether what was read stays in memory. Without, a block that is wanted again is read again."""
        self.pending: dict[int, Read] = {}
        """By logical address, in the order in which they were submitted."""
        self.in_memory: set[int] = set()
        """Logical addresses of the blocks in memory."""

    def __fingerprint__(self) -> object:
        """What is under way and what is in memory."""
        return (self.pending, self.in_memory)

    def submit(self, device: BtrfsDevice, logical: int, mirror_num: int) -> Node | int | None:
        """Return the block if it is in memory; else note the read and return None."""
        if logical in self.in_memory:
            return self.source.node(logical)
        mapping = self.source.map_block(logical)
        if mapping is None:
            return -EIO
        stripe = mapping.stripes[max(mirror_num - 1, 0)]
        err = -EIO if stripe.devid in self.missing else 0
        self.pending[logical] = Read(stripe.devid, stripe.physical, logical, mirror_num, device.devid, err)
        return None

    def page_locked(self, logical: int) -> bool:
        """Return whether the block is being read."""
        return logical in self.pending

    def end(self, logical: int, err: int | None = None) -> tuple[Node | None, int]:
        """End the read of the block at `logical`; return what the hook is to be called with: block, error."""
        read = self.pending.pop(logical)
        error = read.err if err is None else err
        if error:
            return None, error
        if self.keeps_blocks:
            self.in_memory.add(logical)
        return self.source.node(logical), 0


class Readahead:
    """A file system that reads ahead.

    Workers run one after the other, each to its end, and reads complete when the caller says so.
    """

    def __init__(
        self,
        source: Source,
        devids: Iterable[int],
        behaviour: Behaviour = Behaviour.linux_5_10,
        *,
        missing: Collection[int] = (),
        observer: Observer | None = None,
        keeps_blocks: bool = True,
    ) -> None:
        self.reads = PendingReads(source, missing, keeps_blocks=keeps_blocks)
        devices = [BtrfsDevice(devid, missing=devid in missing) for devid in devids]
        self.fs_info = FsInfo(behaviour, source, self.reads, devices, observer=observer)
        self.restarts = 0
        """How often a wait ran out of time and had to start the machine again (behaviour `wait_restarts`)."""

    @property
    def pending(self) -> list[Read]:
        """The reads under way, in the order in which they were submitted."""
        return list(self.reads.pending.values())

    def add(self, root: Root, key_start: Key = MIN_KEY, key_end: Key = MAX_KEY) -> ReadaControl | None:
        """Begin a readahead of [`key_start`, `key_end`) and start its first reads; None if it cannot."""
        rc = run(btrfs_reada_add(self.fs_info, root, key_start, key_end))
        self.work()
        return rc

    def work(self) -> None:
        """Let workers run until none is queued."""
        fs_info = self.fs_info
        while fs_info.readahead_workers:
            fs_info.readahead_workers -= 1
            run(reada_start_machine_worker(fs_info))

    def complete(self, logical: int, err: int | None = None) -> None:
        """End the read of the block at `logical`, with `err` or with what it has coming, and go on.

        KeyError if it is not being read.
        """
        node, error = self.reads.end(logical, err)
        run(btree_readahead_hook(self.fs_info, node, logical, error))
        self.work()

    def wait(self, rc: ReadaControl, pick: Callable[[list[Read]], int] = lambda _: 0) -> None:
        """Complete reads until `rc` has all it wants, and let go of it; `pick` says which read is next.

        Deadlock if the engine stops reading before that.
        """
        while rc.elems:
            if self.reads.pending:
                reads = self.pending
                self.complete(reads[pick(reads)].logical)
            else:
                self._restart(rc)
        run(btrfs_reada_wait(self.fs_info, rc))

    def detach(self, rc: ReadaControl) -> None:
        """Let go of `rc`, which goes on as reads complete."""
        run(btrfs_reada_detach(self.fs_info, rc))

    def validate(self) -> None:
        """Raise InvariantError if the engine's structures break an invariant (invariants.py)."""
        validate(self.fs_info)

    def _restart(self, rc: ReadaControl) -> None:
        left = rc.elems
        if self.fs_info.behaviour.wait_restarts:
            self.restarts += 1
            run(reada_start_machine(self.fs_info))
            self.work()
        if rc.elems == left and not self.reads.pending:
            raise Deadlock(f"{rc} waits for {left} blocks that nobody reads")
