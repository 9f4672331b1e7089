# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine and the walk over simulated disks: times worked out by hand, and what holds in every trace."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.disks import (
    SATA_7200_2011,
    SATA_SSD_2011,
    Disk,
    Mechanism,
    RotationalDisk,
    Served,
    SolidStateDisk,
    Way,
)
from reference.disks.invariants import validate_trace
from reference.disks.trace import in_flight
from reference.machine import Deadlock
from reference.readahead.behaviour import MAX_IN_FLIGHT, Behaviour
from reference.readahead.chunks import ChunkMap, Profile
from reference.readahead.engine import Readahead, run
from reference.readahead.naive import blocks_to_read
from reference.readahead.source import Key
from reference.readahead.synthetic import Forest, SyntheticTree, TreeShape
from reference.readahead.testing import Blocks
from reference.readahead.timed import CPU_NS_PER_BLOCK, WAIT_NS, Outcome, TimedReadahead, TimedWalks
from reference.readahead.walk import walk
from reference.readahead.work import reada_start_machine

BOTH = pytest.mark.parametrize(
    "behaviour", [Behaviour.seed_2011, Behaviour.linux_5_10], ids=lambda behaviour: behaviour.name
)
RAID1 = ChunkMap(Profile.RAID1, 7, chunk_bytes=7 << 18, data_bytes=1 << 30)


class EvenDisk:
    """A disk on which reads take the same time, one after the other; first come first served, or last."""

    def __init__(self, each_ns: int, newest_first: bool = False) -> None:
        self.each_ns = each_ns
        self.newest_first = newest_first
        self.queue_depth = 1
        self.waiting: list[Served] = []
        self.active: Served | None = None
        self.trace: list[Served] = []
        self.submitted = 0

    def submit(self, now_ns: int, byte: int, nbytes: int, tag: int) -> None:
        self.waiting.append(Served(self.submitted, tag, byte, nbytes, now_ns, 0, 0, Way.MEDIA))
        self.submitted += 1
        self.go_on(now_ns)

    def due(self) -> int | None:
        return self.active.ended_ns if self.active else None

    def complete(self) -> Served:
        assert self.active is not None
        self.trace.append(self.active)
        self.active = None
        self.go_on(self.trace[-1].ended_ns)
        return self.trace[-1]

    def go_on(self, now_ns: int) -> None:
        if self.active is None and self.waiting:
            served = self.waiting.pop(-1 if self.newest_first else 0)
            self.active = served._replace(started_ns=now_ns, ended_ns=now_ns + self.each_ns)


def even(count: int, each_ns: int) -> dict[int, Disk]:
    return {devid: EvenDisk(each_ns) for devid in range(1, count + 1)}


def rotational(count: int) -> dict[int, Disk]:
    return {devid: RotationalDisk(SATA_7200_2011) for devid in range(1, count + 1)}


def solid_state(count: int) -> dict[int, Disk]:
    return {devid: SolidStateDisk(SATA_SSD_2011) for devid in range(1, count + 1)}


def as_slow_as_the_wait(count: int) -> dict[int, Disk]:
    """So that reads are done just when the wait of 5.10 looks."""
    return even(count, WAIT_NS // 2)


def tree(leaves: int, chunks: ChunkMap = RAID1, aged: float = 0.5) -> SyntheticTree:
    return SyntheticTree(TreeShape(leaves, fanout=20, aged=aged, transactions=10), chunks)


def read_ahead(
    source: SyntheticTree, disks: dict[int, Disk], behaviour: Behaviour, cpu_ns: int = 0
) -> Outcome:
    timed = TimedReadahead(source, disks, behaviour, cpu_ns)
    timed.add(source.root)
    return timed.run()


def walked(source: SyntheticTree, disks: dict[int, Disk], cpu_ns: int = 0, pid: int = 0) -> Outcome:
    timed = TimedWalks(source, disks, cpu_ns)
    timed.add(source.root, pid=pid)
    return timed.run()


def test_a_walk_takes_each_read_and_each_block() -> None:
    source = tree(100)
    outcome = walked(source, even(7, each_ns=1000), cpu_ns=30)
    assert outcome.finished_ns == (source.nodes * 1030,)
    assert outcome.blocks == source.nodes
    assert str(outcome) == f"simulated walk: {source.nodes} blocks in {source.nodes * 1030 / 1e9:.3f} s"


@pytest.mark.parametrize("pid", [0, 1])
def test_a_walk_over_disks_is_the_sum_of_what_reads_take(pid: int) -> None:
    source = tree(400)
    outcome = walked(source, rotational(7), CPU_NS_PER_BLOCK, pid)
    arms = {devid: Mechanism(SATA_7200_2011.geometry(), SATA_7200_2011.segments) for devid in range(1, 8)}
    now = 0
    for node in walk(source, source.root.bytenr):
        mapping = source.map_block(node.bytenr)
        assert mapping is not None
        stripe = mapping.stripes[pid]
        now = arms[stripe.devid].read(now, stripe.physical, source.nodesize).end_ns + CPU_NS_PER_BLOCK
    assert outcome.finished_ns == (now,)


@BOTH
def test_one_disk_reads_ahead_as_fast_as_it_reads(behaviour: Behaviour) -> None:
    # A root and 20 leaves: while the root is looked at the disk rests.
    source = tree(20, ChunkMap(), aged=0)
    assert read_ahead(source, even(1, 1000), behaviour, cpu_ns=30).finished_ns == (
        1000 + 30 + 20 * 1000 + 30,
    )
    # With a slow processor it is the processor that takes the time, after the first two reads.
    assert read_ahead(source, even(1, 1000), behaviour, cpu_ns=5000).finished_ns == (
        1000 + 5000 + 1000 + 20 * 5000,
    )


@BOTH
def test_a_disk_turns_to_the_next_before_the_processor_asks_for_more(behaviour: Behaviour) -> None:
    # A root, three nodes, leaves. When the second node is read, the processor is done with the first.
    source = SyntheticTree(TreeShape(9, fanout=3, aged=0), ChunkMap())
    disk = EvenDisk(1000, newest_first=True)
    read_ahead(source, {1: disk}, behaviour, cpu_ns=1000)
    levels = [source.node(one.tag).level for one in disk.trace]
    assert levels[:4] == [2, 1, 1, 1]


@BOTH
def test_several_disks_share_the_work(behaviour: Behaviour) -> None:
    # Sixteen leaves next to each other, in stripes of four; the root is on the first disk again.
    source = tree(16, ChunkMap(Profile.RAID0, 4), aged=0)
    outcome = read_ahead(source, even(4, 1000), behaviour)
    assert [len(trace) for trace in outcome.traces.values()] == [5, 4, 4, 4]
    assert outcome.finished_ns == (5000,)


DISKS: list[Callable[[int], dict[int, Disk]]] = [rotational, solid_state]


@pytest.mark.parametrize("disks", DISKS)
@given(
    shape=st.builds(
        TreeShape,
        leaves=st.integers(1, 150),
        fanout=st.integers(2, 30),
        seed=st.integers(0, 9),
        aged=st.sampled_from((0.0, 0.5, 1.0)),
        transactions=st.integers(1, 9),
    ),
    chunks=st.sampled_from(
        (
            ChunkMap(Profile.SINGLE, 3, chunk_bytes=3 << 17, data_bytes=1 << 30),
            ChunkMap(Profile.RAID1, 3, chunk_bytes=3 << 16, data_bytes=1 << 30),
            ChunkMap(Profile.RAID10, 4, chunk_bytes=4 << 16, data_bytes=1 << 30),
            ChunkMap(Profile.RAID0, 2, chunk_bytes=4 << 16, data_bytes=1 << 30),
        )
    ),
    behaviour=st.sampled_from((Behaviour.seed_2011, Behaviour.linux_5_10)),
    ends=st.tuples(st.integers(0, 150), st.integers(0, 150)),
    cpu_ns=st.sampled_from((0, 20_000, 3_000_000)),
)
@settings(max_examples=120, deadline=None, database=None)
def test_each_block_of_the_range_is_read_once_from_one_of_its_places(
    disks: Callable[[int], dict[int, Disk]],
    shape: TreeShape,
    chunks: ChunkMap,
    behaviour: Behaviour,
    ends: tuple[int, int],
    cpu_ns: int,
) -> None:
    source = SyntheticTree(shape, chunks)
    low, high = (Key(end * shape.step, 0, 0) for end in sorted(ends))
    timed = TimedReadahead(source, disks(chunks.devices), behaviour, cpu_ns)
    timed.add(source.root, low, high)
    outcome = timed.run()
    served = [(devid, one) for devid, trace in outcome.traces.items() for one in trace]
    assert sorted(one.tag for _, one in served) == sorted(blocks_to_read(source, source.root, low, high))
    for devid, one in served:
        mapping = source.map_block(one.tag)
        assert mapping is not None
        assert (devid, one.byte) in [(stripe.devid, stripe.physical) for stripe in mapping.stripes]
    ended = {one.tag: one.ended_ns for _, one in served}
    submitted = {one.tag: one.submitted_ns for _, one in served}
    for parent, ended_ns in ended.items():
        for child in source.node(parent).blockptrs:
            # Not before the processor has looked at its parent.
            assert child not in submitted or submitted[child] >= ended_ns + cpu_ns
    assert outcome.finished_ns[0] >= max(ended.values()) + cpu_ns
    if disks is rotational:
        for trace in outcome.traces.values():
            validate_trace(trace)
    timed.engine.validate()
    assert not timed.engine.fs_info.live_controls()


@pytest.mark.parametrize("disks", [*DISKS, as_slow_as_the_wait])
@pytest.mark.parametrize("cpu_ns", [0, 20_000, 500_000])
@BOTH
def test_the_same_follows_from_completions_alone(
    disks: Callable[[int], dict[int, Disk]], cpu_ns: int, behaviour: Behaviour
) -> None:
    """Given the completions of the trace one after the other, the engine asks for the same, then."""
    source = tree(300)
    traces = read_ahead(source, disks(7), behaviour, cpu_ns).traces
    completions = sorted((one.ended_ns, devid, one.tag) for devid, trace in traces.items() for one in trace)
    engine = Readahead(source, range(1, 8), behaviour)
    asked: dict[tuple[int, int], int] = {}
    processor_ns, look_ns = 0, WAIT_NS

    def ask(now_ns: int) -> None:
        for read in engine.pending:
            asked.setdefault((read.devid, read.logical), now_ns)

    engine.add(source.root)
    ask(0)
    for ended_ns, _, logical in completions:
        processor_ns = max(processor_ns, ended_ns) + cpu_ns
        while behaviour.wait_restarts and look_ns < processor_ns:
            run(reada_start_machine(engine.fs_info))
            engine.work()
            ask(look_ns)
            look_ns += WAIT_NS
        engine.complete(logical)
        ask(processor_ns)
    assert not engine.pending
    assert asked == {(devid, one.tag): one.submitted_ns for devid, trace in traces.items() for one in trace}
    assert len(asked) == source.nodes


@pytest.mark.parametrize("disks", DISKS)
def test_the_seed_has_six_in_flight_and_5_10_all(disks: Callable[[int], dict[int, Disk]]) -> None:
    source = tree(400)
    most = {}
    for behaviour in (Behaviour.seed_2011, Behaviour.linux_5_10):
        outcome = read_ahead(source, disks(7), behaviour)
        most[behaviour.name] = max(
            count for trace in outcome.traces.values() for _, count in in_flight(trace)
        )
    assert most["seed_2011"] == MAX_IN_FLIGHT
    assert most["linux_5_10"] > 2 * MAX_IN_FLIGHT


@BOTH
def test_the_same_again_is_the_same_again(behaviour: Behaviour) -> None:
    source = tree(300)
    backwards = dict(reversed(rotational(7).items()))
    one, other = (read_ahead(source, disks, behaviour) for disks in (rotational(7), backwards))
    assert one.finished_ns == other.finished_ns
    assert one.traces == other.traces


@pytest.mark.parametrize(
    ("behaviour", "asked_ns"), [(Behaviour.seed_2011, 3 * WAIT_NS), (Behaviour.linux_5_10, 2 * WAIT_NS)]
)
def test_a_wait_of_5_10_looks_after_a_disk_that_stands_still(behaviour: Behaviour, asked_ns: int) -> None:
    """One disk, two trees: root 5 is done after 1.5 waits, but its leaves are not asked for (see the engine).

    The seed asks for them when root 9 was read as well, after 3; 5.10 when its wait looks, after 2.
    """
    source = Blocks([(1,)], 16)
    roots = [source.grow(2, 2, [2, 3, 5]), source.grow(2, 2, [11, 12, 9])]
    timed = TimedReadahead(source, even(1, 3 * WAIT_NS // 2), behaviour, cpu_ns=0)
    for root in roots:
        timed.add(root)
    (trace,) = timed.run().traces.values()
    submitted = {one.tag // source.nodesize: one.submitted_ns for one in trace}
    assert submitted == {5: 0, 9: 0, 2: asked_ns, 3: asked_ns, 11: 3 * WAIT_NS, 12: 3 * WAIT_NS}


@BOTH
def test_readaheads_of_two_trees_run_side_by_side(behaviour: Behaviour) -> None:
    chunks = ChunkMap(Profile.RAID1, 7, chunk_bytes=7 << 18, data_bytes=1 << 30)
    forest = Forest([TreeShape(300, fanout=20, seed=seed) for seed in (1, 2)], chunks)
    both = TimedReadahead(forest, rotational(7), behaviour)
    for one in forest.trees:
        both.add(one.root)
    outcome = both.run()
    assert len(outcome.finished_ns) == 2
    assert outcome.blocks == sum(one.nodes for one in forest.trees)
    # Not one after the other.
    starts = [
        min(
            served.started_ns
            for trace in outcome.traces.values()
            for served in trace
            if served.tag == one.root.bytenr
        )
        for one in forest.trees
    ]
    assert max(starts) < min(outcome.finished_ns)


@BOTH
def test_a_second_readahead_of_the_same_tree_reads_nothing(behaviour: Behaviour) -> None:
    source = tree(200)
    timed = TimedReadahead(source, rotational(7), behaviour)
    timed.add(source.root)
    timed.add(source.root)
    outcome = timed.run()
    assert outcome.blocks == source.nodes
    assert len(outcome.finished_ns) == 2
    # Later, everything is in memory, and time does not go on.
    timed.add(source.root)
    again = timed.run()
    assert again.blocks == source.nodes
    assert again.finished_ns[2] == max(outcome.finished_ns)


def test_walks_of_the_same_tree_share_what_they_read() -> None:
    source = tree(100)
    timed = TimedWalks(source, even(7, each_ns=1000), cpu_ns=30)
    timed.add(source.root)
    timed.add(source.root)
    outcome = timed.run()
    assert outcome.finished_ns == (source.nodes * 1030,) * 2
    assert outcome.blocks == source.nodes
    # One that comes when all is in memory only looks at it.
    timed.add(source.root)
    assert timed.run().finished_ns[2] == source.nodes * (1030 + 30)


def test_walks_of_two_trees_run_side_by_side() -> None:
    forest = Forest([TreeShape(100, fanout=20, aged=0, seed=seed) for seed in (1, 2)], ChunkMap(data_bytes=0))
    timed = TimedWalks(forest, even(1, each_ns=1000), cpu_ns=30)
    for one in forest.trees:
        timed.add(one.root)
    # The disk never rests: while one walk's processor is busy the other's block is read.
    nodes = forest.trees[0].nodes
    assert timed.run().finished_ns == (2 * nodes * 1000 - 1000 + 30, 2 * nodes * 1000 + 30)


def test_a_disk_turns_to_the_next_before_a_walk_asks_for_more() -> None:
    forest = Forest([TreeShape(9, fanout=3, aged=0, seed=seed) for seed in (1, 2, 3)], ChunkMap())
    disk = EvenDisk(1000, newest_first=True)
    timed = TimedWalks(forest, {1: disk}, cpu_ns=1000)
    roots = [one.root.bytenr for one in forest.trees]
    for one in forest.trees:
        timed.add(one.root)
    timed.run()
    # When the third root is read, the first walk is done with its own and asks for its next block.
    assert [one.tag for one in disk.trace[:3]] == [roots[0], roots[2], roots[1]]


def test_a_walk_needs_a_chunk() -> None:
    source = Blocks([(1,), ()], blocks_per_group=4)
    root = source.grow(2, 2, [1, 5, 0])
    timed = TimedWalks(source, even(1, 10))
    timed.add(root)
    with pytest.raises(ValueError, match="no chunk has the block at 20480"):
        timed.run()


def test_an_engine_that_stands_still_is_noticed() -> None:
    for behaviour in (Behaviour.seed_2011, Behaviour.linux_5_10):
        source = tree(30, ChunkMap())
        timed = TimedReadahead(source, even(1, 1000), behaviour)
        timed.add(source.root)
        timed.engine.fs_info.devices[1].reada_in_flight = MAX_IN_FLIGHT + 1
        with pytest.raises(Deadlock, match="blocks that nobody reads"):
            timed.run()


def test_a_root_without_a_chunk_cannot_be_read_ahead() -> None:
    source = Blocks([()], blocks_per_group=4)
    root = source.grow(1, 2, [0])
    with pytest.raises(ValueError, match="cannot read ahead from a root at 0"):
        TimedReadahead(source, even(1, 10), Behaviour.linux_5_10).add(root)
