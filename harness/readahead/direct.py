# SPDX-License-Identifier: GPL-2.0-or-later
"""The reference engine on real devices: it picks, threads read, and what completes goes back to it.

One thread runs the engine, as one processor would; each device has threads that wait for it, `depth` of
them. Reads beyond that wait in the order in which the engine has picked them.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self

from harness.errors import InfrastructureError
from harness.metadata import FileSystem, MetadataError
from harness.metadata.levels import LevelCheck
from harness.readahead.copy_reader import Copy, read_copy
from harness.readahead.reads import BlockRead, Wanted
from reference.readahead import (
    Behaviour,
    BlockGroup,
    BtrfsDevice,
    Mapping,
    Node,
    Observer,
    Read,
    ReadaControl,
    Readahead,
    Stripe,
    run,
)
from reference.readahead.work import reada_start_machine

__all__ = ["DEPTH", "DirectReadahead"]

DEPTH = 32
"""Reads that a device is given at a time: what a SATA disk's queue holds (NCQ)."""
_WAIT_S = 0.1
"""`btrfs_reada_wait` of 5.10 looks after the engine so often."""


class DirectReadahead:
    """Readaheads that read from the devices of a file system; a context that ends its threads."""

    def __init__(
        self, filesystem: FileSystem, behaviour: Behaviour = Behaviour.linux_5_10, depth: int = DEPTH
    ) -> None:
        self.reads: list[BlockRead] = []
        """All reads that have completed, in that order."""
        self._filesystem = filesystem
        self._picked = _Picked()
        self._arrived = _Arrived(filesystem)
        self._levels = LevelCheck()
        self._engine = Readahead(
            self._arrived,
            sorted(filesystem.known),
            behaviour,
            missing=filesystem.missing,
            observer=self._picked,
        )
        self._waiting: dict[int, ReadaControl] = {}
        """Readaheads that are not done, by the number that `add` gave."""
        self._added = 0
        self._pending = 0
        self._completed: SimpleQueue[Future[Copy]] = SimpleQueue()
        self._threads = ExitStack()
        self._pools = {
            devid: self._threads.enter_context(ThreadPoolExecutor(depth, f"device {devid}"))
            for devid in filesystem.known
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        self._threads.close()

    def add(self, wanted: Wanted) -> int:
        """Begin a readahead and return its number; MetadataError if the engine cannot queue the root."""
        rc = self._engine.add(wanted.root, wanted.key_start, wanted.key_end)
        if rc is None:
            raise MetadataError(f"the root of tree {wanted.tree} at {wanted.bytenr} cannot be read ahead")
        number = self._added
        self._added += 1
        self._waiting[number] = rc
        self._submit()
        return number

    def wait(self) -> dict[int, int]:
        """Read until all is done; return when each readahead was, by number, monotonic ns.

        MetadataError if the tree is damaged so that reading it would not end; InfrastructureError if the
        engine stops though blocks are wanted.
        """
        finished = self._reap()
        while self._waiting:
            try:
                copy = self._completed.get(timeout=_WAIT_S).result()
            except Empty:
                self._look_after()
            else:
                self._complete(copy)
            self._submit()
            finished |= self._reap()
        return finished

    def _complete(self, copy: Copy) -> None:
        self._pending -= 1
        self.reads.append(copy.read)
        if copy.node is not None:
            self._levels.check(copy.node)
            self._arrived.put(copy.node)
        self._engine.complete(copy.read.logical, copy.read.err)

    def _look_after(self) -> None:
        """Start the machine, as the wait does in 5.10 when it has waited for long."""
        if self._engine.fs_info.behaviour.wait_restarts:
            run(reada_start_machine(self._engine.fs_info))
            self._engine.work()
        if not self._pending and not self._picked.blocks:
            raise InfrastructureError(f"the engine stopped: {len(self._waiting)} readaheads are not done")

    def _submit(self) -> None:
        """Hand over to threads what the engine has picked. What it has found in memory is not under way."""
        picked, self._picked.blocks = self._picked.blocks, []
        for logical in picked:
            read = self._engine.reads.pending.get(logical)
            if read is not None:
                self._pending += 1
                self._hand_over(read)

    def _hand_over(self, read: Read) -> None:
        # Where the engine does not say which copy, its reads take the first.
        mirror_num = max(read.mirror_num, 1)
        stripe = Stripe(read.devid, read.physical)
        future = self._pools[read.devid].submit(
            read_copy, self._filesystem, stripe, read.logical, mirror_num, time.monotonic_ns()
        )
        future.add_done_callback(self._completed.put)

    def _reap(self) -> dict[int, int]:
        """Let go of readaheads that have all they want; return when each of them was done: now."""
        done = [number for number, rc in self._waiting.items() if not rc.elems]
        for number in done:
            self._engine.wait(self._waiting.pop(number))
        return dict.fromkeys(done, time.monotonic_ns())


class _Picked(Observer):
    """Notes what the engine has picked."""

    def __init__(self) -> None:
        self.blocks: list[int] = []

    def submitted(self, device: BtrfsDevice, logical: int, mirror_num: int) -> None:  # noqa: ARG002
        """Note the block (`Observer`)."""
        self.blocks.append(logical)


class _Arrived:
    """The blocks that have been read, without the items of leaves (`Source`)."""

    def __init__(self, filesystem: FileSystem) -> None:
        self.nodesize = filesystem.nodesize
        self._filesystem = filesystem
        self._nodes: dict[int, Node] = {}

    def put(self, node: Node) -> None:
        """Keep a block."""
        self._nodes[node.bytenr] = node if node.level else Node(node.bytenr, 0, node.generation)

    def node(self, bytenr: int) -> Node:
        """Return a block that was read (`Source`)."""
        return self._nodes[bytenr]

    def map_block(self, logical: int) -> Mapping | None:
        """Return where the copies are (`Source`)."""
        return self._filesystem.map_block(logical)

    def lookup_block_group(self, logical: int) -> BlockGroup | None:
        """Return the block group (`Source`)."""
        return self._filesystem.lookup_block_group(logical)
