# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of the engine share: small trees, an observer that keeps all, scenarios to explore."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TypeVar

from reference.machine import PREEMPT, Blocked, Machine, Scenario, Steps
from reference.readahead.behaviour import Behaviour
from reference.readahead.control import btrfs_reada_add, btrfs_reada_wait
from reference.readahead.engine import PendingReads, run
from reference.readahead.hook import btree_readahead_hook
from reference.readahead.invariants import validate, validate_always
from reference.readahead.machine import reada_start_machine_worker
from reference.readahead.source import BlockGroup, Key, Mapping, Node, Root, Stripe
from reference.readahead.structs import BtrfsDevice, FsInfo, Observer, ReadaControl, ReadaExtent, ReadaZone

__all__ = ["Blocks", "Keeper", "key", "readers"]

NODESIZE = 4096

T = TypeVar("T")


def key(number: int) -> Key:
    """Return a key that is as great as `number`."""
    return Key(number, 0, 0)


class Blocks:
    """Trees of which every block is written down (`Source`).

    Block groups have `blocks_per_group` blocks each; group n has its copies on the devices `groups[n]`. Where
    that is empty, there is no chunk.
    """

    def __init__(self, groups: Sequence[tuple[int, ...]], blocks_per_group: int = 8) -> None:
        self.groups = list(groups)
        self.group_bytes = blocks_per_group * NODESIZE
        self.nodes: dict[int, Node] = {}
        self.num_tgtdevs = 0

    def __fingerprint__(self) -> object:
        """Nothing of it changes."""
        return None

    @property
    def nodesize(self) -> int:
        """4 KiB."""
        return NODESIZE

    def grow(
        self,
        leaves: int,
        fanout: int,
        places: Iterable[int],
        stale: Collection[int] = (),
        generation: int = 5,
    ) -> Root:
        """Write a tree and return its root. Leaf n begins at key(10 * n).

        The blocks get `places` (numbers of blocks), leaves first and the root last; those at `stale` places
        have another generation than their parents say.
        """
        below: list[tuple[Key, int]] = []
        supply = (place * NODESIZE for place in places)
        old = {place * NODESIZE for place in stale}
        for number in range(leaves):
            below.append((key(10 * number), next(supply)))
            bytenr = below[-1][1]
            self.nodes[bytenr] = Node(bytenr, 0, generation - (bytenr in old))
        level = 1
        while len(below) > 1:
            above: list[tuple[Key, int]] = []
            for first in range(0, len(below), fanout):
                part = below[first : first + fanout]
                bytenr = next(supply)
                self.nodes[bytenr] = Node(
                    bytenr,
                    level,
                    generation - (bytenr in old),
                    [child[0] for child in part],
                    [child[1] for child in part],
                    [generation] * len(part),
                )
                above.append((part[0][0], bytenr))
            below, level = above, level + 1
        root = below[0][1]
        return Root(root, self.nodes[root].generation)

    def node(self, bytenr: int) -> Node:
        """Return the block (`Source`)."""
        return self.nodes[bytenr]

    def lookup_block_group(self, logical: int) -> BlockGroup | None:
        """Return the block group (`Source`)."""
        number = logical // self.group_bytes
        if number >= len(self.groups):
            return None
        return BlockGroup(number * self.group_bytes, self.group_bytes)

    def map_block(self, logical: int) -> Mapping | None:
        """Return where the copies are, at the same place on each device (`Source`)."""
        number = logical // self.group_bytes
        if number >= len(self.groups) or not self.groups[number]:
            return None
        stripes = [Stripe(devid, logical) for devid in self.groups[number]]
        return Mapping(stripes, self.group_bytes - logical % self.group_bytes, self.num_tgtdevs)


class Keeper(Observer):
    """Keeps all it is told, by control, and in order."""

    def __init__(self) -> None:
        self.blocks: dict[ReadaControl, list[int]] = {}
        self.over: dict[ReadaControl, dict[int, int]] = {}
        self.zones: list[tuple[int, int | None]] = []
        self.reads: list[tuple[int, int, int]] = []

    def queued(self, rc: ReadaControl, re: ReadaExtent) -> None:
        """Keep which blocks each control wants, in `blocks`."""
        self.blocks.setdefault(rc, []).append(re.logical)

    def finished(self, rc: ReadaControl, logical: int, err: int) -> None:
        """Keep the errors in `over`; nothing is finished twice or without having been wanted."""
        over = self.over.setdefault(rc, {})
        assert logical in self.blocks[rc]
        assert logical not in over
        over[logical] = err

    def picked_zone(self, device: BtrfsDevice, zone: ReadaZone | None) -> None:
        """Keep (devid, start of the zone) in `zones`."""
        self.zones.append((device.devid, None if zone is None else zone.start))

    def submitted(self, device: BtrfsDevice, logical: int, mirror_num: int) -> None:
        """Keep (devid, logical, mirror_num) in `reads`."""
        self.reads.append((device.devid, logical, mirror_num))


class _Counting(PendingReads):
    """Reads that end when the explorer lets the task of their block go on."""

    def __init__(self, source: Blocks) -> None:
        super().__init__(source)
        self.times: dict[int, int] = dict.fromkeys(source.nodes, 0)
        """How often each block was read."""
        self.hooks = 0
        """Hooks under way."""

    def __fingerprint__(self) -> object:
        """What is under way, what is in memory, and what the end is checked for."""
        return (list(self.pending), self.in_memory, list(self.times.values()), self.hooks)

    def submit(self, device: BtrfsDevice, logical: int, mirror_num: int) -> Node | int | None:
        """Count what is not in memory."""
        found = super().submit(device, logical, mirror_num)
        if found is None:
            self.times[logical] += 1
        return found


class _Scene:
    """A file system with tasks: readers, workers, and one for each block that ends its reads."""

    def __init__(
        self, machine: Machine, behaviour: Behaviour, source: Blocks, devices: int, *, fine: bool
    ) -> None:
        self.machine = machine
        self.fine = fine
        self.reads = _Counting(source)
        all_devices = [BtrfsDevice(number + 1) for number in range(devices)]
        self.fs_info = FsInfo(behaviour, source, self.reads, all_devices)
        self.waiting = 0

    def __fingerprint__(self) -> object:
        """What of it changes."""
        return (self.fs_info, self.waiting)

    def over(self) -> bool:
        """Return whether nothing more can come."""
        return not self.waiting and not self.reads.pending and not self.reads.hooks

    def part(self, steps: Steps[T]) -> Steps[T]:
        """Let others run at each stop of `steps`, or (not fine) at none."""
        if self.fine:
            return (yield from steps)
        yield PREEMPT
        return run(steps)

    def reader(self, root: Root, key_start: Key, key_end: Key) -> Steps[None]:
        """Add a readahead and wait for it."""
        rc = yield from self.part(btrfs_reada_add(self.fs_info, root, key_start, key_end))
        assert rc is not None
        yield from btrfs_reada_wait(self.fs_info, rc)
        self.waiting -= 1

    def worker(self) -> Steps[None]:
        """Do works."""
        fs_info = self.fs_info
        while True:
            yield Blocked(lambda: fs_info.readahead_workers > 0 or self.over(), "worker_thread()")
            if not fs_info.readahead_workers:
                return
            fs_info.readahead_workers -= 1
            yield from self.part(reada_start_machine_worker(fs_info))

    def disk(self, logical: int) -> Steps[None]:
        """End the reads of one block."""
        while True:
            yield Blocked(lambda: logical in self.reads.pending or self.over(), "the disk")
            if logical not in self.reads.pending:
                return
            self.reads.hooks += 1
            node, err = self.reads.end(logical)
            yield from self.part(btree_readahead_hook(self.fs_info, node, logical, err))
            self.reads.hooks -= 1

    def check_end(self) -> None:
        """Raise AssertionError if a block was read twice or something is left."""
        twice = [block for block, times in self.reads.times.items() if times > 1]
        assert not twice, f"blocks {twice} were read twice"
        for slab in (self.fs_info.extents, self.fs_info.extctls, self.fs_info.controls):
            slab.check_empty()
        validate(self.fs_info)

    def check_step(self) -> None:
        """Raise InvariantError if an invariant is broken that holds always."""
        validate_always(self.fs_info)


def readers(
    behaviour: Behaviour,
    source: Blocks,
    devices: int,
    wanted: Sequence[tuple[Root, Key, Key]],
    *,
    workers: int = 1,
    fine: bool = True,
) -> Scenario:
    """Return a scenario: each of `wanted` is added and waited for by a task; workers work; reads end.

    `fine`: others can run at each stop of the engine's functions; otherwise add, hooks and works are whole.
    In the end no block was read twice, and nothing is left.
    """

    def scenario(machine: Machine) -> None:
        scene = _Scene(machine, behaviour, source, devices, fine=fine)
        scene.waiting = len(wanted)
        for number, (root, key_start, key_end) in enumerate(wanted):
            machine.task(f"reader {number}", scene.reader(root, key_start, key_end))
        for number in range(workers):
            machine.task(f"worker {number}", scene.worker())
        for logical in source.nodes:
            machine.task(f"block {logical // NODESIZE}", scene.disk(logical))
        machine.invariants.append(scene.check_step)
        machine.at_end.append(scene.check_end)

    return scenario
