# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine and the walk in arrays against those of reference/readahead over the same disks.

Chosen by hypothesis: trees, profiles, ageing, disks, queues, behaviours, how many readaheads. Every read must
be of the same block from the same copy, submitted, begun and ended in the same nanosecond, and every zone
picked must be the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from reference.disks import (
    CONSTELLATION_2010,
    SATA_7200_2011,
    SATA_SSD_2011,
    Disk,
    Policy,
    RotationalConstants,
    RotationalDisk,
    Served,
    SolidStateDisk,
    SsdConstants,
    Way,
)
from reference.machine import Deadlock
from reference.readahead.behaviour import Behaviour
from reference.readahead.chunks import ChunkMap, Profile
from reference.readahead.scale.grow import grow
from reference.readahead.scale.simulate import Setup, Simulated, simulate_readahead, simulate_walk
from reference.readahead.scale.sizing import ACCEPTED, sized
from reference.readahead.scale.trees import NONE, Trees, flatten
from reference.readahead.source import Root, Source
from reference.readahead.structs import BtrfsDevice, Observer, ReadaZone
from reference.readahead.synthetic import Forest, TreeShape
from reference.readahead.testing import NODESIZE, Blocks
from reference.readahead.timed import Outcome, TimedReadahead, TimedWalks

WAYS = tuple(Way)


def disk(setup: Setup) -> Disk:
    if isinstance(setup.constants, SsdConstants):
        return SolidStateDisk(setup.constants, setup.queue_depth)
    return RotationalDisk(setup.constants, setup.host, setup.drive, setup.queue_depth)


@dataclass(frozen=True)
class Case:
    source: Source
    roots: list[Root]
    setup: Setup

    @property
    def trees(self) -> Trees:
        return flatten(self.source, self.roots, range(1, self.setup.devices + 1))

    def disks(self) -> dict[int, Disk]:
        return {device + 1: disk(self.setup) for device in range(self.setup.devices)}


def traces(simulated: Simulated, trees: Trees, setup: Setup) -> dict[int, list[Served]]:
    found: dict[int, list[Served]] = {device + 1: [] for device in range(setup.devices)}
    for request in sorted(simulated.requests, key=lambda request: request["ended_ns"]):
        block, copy = request["block"], request["copy"]
        place = (trees.logical[block], trees.physical[block, copy], setup.nodesize)
        times = (request["submitted_ns"], request["started_ns"], request["ended_ns"])
        numbers = (int(number) for number in (request["number"], *place, *times))
        found[request["disk"] + 1].append(Served._make((*numbers, WAYS[request["way"]])))
    return found


def check(case: Case, simulated: Simulated, outcome: Outcome) -> None:
    assert traces(simulated, case.trees, case.setup) == outcome.traces
    assert simulated.finished_ns == outcome.finished_ns
    assert simulated.blocks == outcome.blocks
    assert simulated.seconds == outcome.seconds


class ZoneKeeper(Observer):
    """Keeps the zones that were picked, and passes on the rest."""

    def __init__(self, inner: Observer, source: Source) -> None:
        self.inner = inner
        self.source = source
        self.picked: list[tuple[int, int | None]] = []

    def submitted(self, device: BtrfsDevice, logical: int, mirror_num: int) -> None:
        self.inner.submitted(device, logical, mirror_num)

    def picked_zone(self, device: BtrfsDevice, zone: ReadaZone | None) -> None:
        self.picked.append((device.devid, None if zone is None else zone.start))


def compare_readaheads(
    case: Case, behaviour: Behaviour, wanted: list[int], *, keeps_blocks: bool = True
) -> Simulated:
    trees = case.trees
    timed = TimedReadahead(case.source, case.disks(), behaviour, case.setup.cpu_ns, keeps_blocks=keeps_blocks)
    keeper = timed.engine.fs_info.observer = ZoneKeeper(timed.engine.fs_info.observer, case.source)
    for tree in wanted:
        timed.add(case.roots[tree])
    outcome = timed.run()
    simulated = simulate_readahead(
        trees, case.setup, behaviour, wanted, keeps_blocks=keeps_blocks, picks_kept=len(keeper.picked) + 1
    )
    check(case, simulated, outcome)
    starts = sorted(
        {group.start for bytenr in trees.logical if (group := case.source.lookup_block_group(int(bytenr)))}
    )
    picked = [(device + 1, None if group == NONE else starts[group]) for device, group in simulated.picked]
    assert picked == keeper.picked
    return simulated


def compare_walks(case: Case, wanted: list[int], pids: list[int]) -> Simulated:
    timed = TimedWalks(case.source, case.disks(), case.setup.cpu_ns)
    for tree, pid in zip(wanted, pids, strict=True):
        timed.add(case.roots[tree], pid=pid)
    simulated = simulate_walk(case.trees, case.setup, wanted, pids)
    check(case, simulated, timed.run())
    return simulated


ROTATIONAL = st.builds(
    lambda constants, segments, read_ahead: replace(constants, segments=segments, read_ahead=read_ahead),
    st.sampled_from((SATA_7200_2011, CONSTELLATION_2010)),
    st.sampled_from((0, 1, 2, 16)),
    st.sampled_from((0, 24 << 10, 1 << 20)),
)
SOLID = st.sampled_from((SATA_SSD_2011, replace(SATA_SSD_2011, channels=1, command_ns=60_000)))


def setups(devices: int, nodesize: int) -> st.SearchStrategy[Setup]:
    constants: st.SearchStrategy[RotationalConstants | SsdConstants] = st.one_of(
        ROTATIONAL, ROTATIONAL, ROTATIONAL, SOLID
    )
    return st.builds(
        Setup,
        devices=st.just(devices),
        constants=constants,
        nodesize=st.just(nodesize),
        host=st.sampled_from((Policy.FIFO, Policy.C_LOOK)),
        drive=st.sampled_from(Policy),
        queue_depth=st.sampled_from((None, 1, 2, 5)),
        cpu_ns=st.sampled_from((0, 1000, 20_000, 3_000_000)),
    )


@st.composite
def synthetic(draw: st.DrawFn) -> Case:
    """Aged trees in chunks of a profile."""
    profile = draw(st.sampled_from(Profile))
    devices = draw(st.integers(max(1, profile.copies), 7))
    devices += profile is Profile.RAID10 and devices % 2
    nodesize = draw(st.sampled_from((4 << 10, 16 << 10, 64 << 10)))
    chunks = ChunkMap(
        profile,
        devices,
        nodesize=nodesize,
        chunk_bytes=devices * draw(st.sampled_from((64, 192, 1024))) << 10,
        data_bytes=draw(st.sampled_from((0, 1 << 20, 1 << 30))),
    )
    shape = st.builds(
        TreeShape,
        leaves=st.integers(1, 250),
        fanout=st.integers(2, 40),
        seed=st.integers(0, 1000),
        aged=st.sampled_from((0, 0.2, 0.7, 1)),
        run=st.integers(1, 6),
        transactions=st.integers(1, 12),
    )
    forest = Forest(draw(st.lists(shape, min_size=1, max_size=3)), chunks)
    return Case(forest, [tree.root for tree in forest.trees], draw(setups(devices, nodesize)))


@st.composite
def written(draw: st.DrawFn) -> Case:
    """Two trees block by block, in groups of any copies or none, some blocks with the wrong generation."""
    devices, groups, per_group = 4, 6, 16
    copies = st.one_of(
        st.permutations(range(1, devices + 1)).flatmap(
            lambda devids: st.integers(1, 4).map(lambda number: tuple(devids[:number]))
        ),
        st.integers(1, devices).map(lambda devid: (devid, devid)),
        st.tuples(*[st.integers(1, devices)] * 3),
        st.just(()),
    )
    source = Blocks(draw(st.lists(copies, min_size=groups, max_size=groups)), per_group)
    places = draw(st.permutations(range(groups * per_group)))
    stale = draw(st.sets(st.sampled_from(places), max_size=3))
    fanout = draw(st.integers(2, 5))
    roots = [
        source.grow(draw(st.integers(1, 20)), fanout, places[:48], stale),
        source.grow(draw(st.integers(1, 20)), fanout, places[48:], stale, generation=9),
    ]
    if draw(st.booleans()):
        roots[0] = Root(roots[0].bytenr, 99)
    return Case(source, roots, draw(setups(devices, NODESIZE)))


BEHAVIOURS = st.one_of(
    st.sampled_from((Behaviour.linux_5_10, Behaviour.seed_2011)),
    st.builds(
        Behaviour,
        max_mirrors=st.integers(1, 5),
        in_flight_until_completion=st.booleans(),
        dup_meets_eexist=st.booleans(),
        hook_finds_extent=st.booleans(),
        reads_unwanted=st.booleans(),
        respawns_after_any=st.booleans(),
        max_works=st.sampled_from((None, 0, 1, 10)),
        wait_restarts=st.booleans(),
        add_can_fail=st.booleans(),
    ),
)


@given(
    case=st.one_of(synthetic(), written()), behaviour=BEHAVIOURS, data=st.data(), keeps_blocks=st.booleans()
)
@settings(max_examples=150, deadline=None, database=None)
def test_every_pick_and_every_nanosecond_of_readaheads(
    case: Case, behaviour: Behaviour, data: st.DataObject, keeps_blocks: bool
) -> None:
    wanted = data.draw(st.lists(st.integers(0, len(case.roots) - 1), min_size=1, max_size=4))
    try:
        compare_readaheads(case, behaviour, wanted, keeps_blocks=keeps_blocks)
    except (ValueError, Deadlock) as error:
        # What the one refuses, the other must refuse as well.
        with pytest.raises(type(error)):
            simulate_readahead(case.trees, case.setup, behaviour, wanted, keeps_blocks=keeps_blocks)
        event(type(error).__name__)


@given(case=st.one_of(synthetic(), written()), data=st.data())
@settings(max_examples=80, deadline=None, database=None)
def test_every_read_and_every_nanosecond_of_walks(case: Case, data: st.DataObject) -> None:
    wanted = data.draw(st.lists(st.integers(0, len(case.roots) - 1), min_size=1, max_size=4))
    pids = data.draw(st.lists(st.integers(0, 9), min_size=len(wanted), max_size=len(wanted)))
    if NONE in case.trees.device[:, 0]:
        with pytest.raises(ValueError, match="no chunk has the block"):
            simulate_walk(case.trees, case.setup, wanted, pids)
    else:
        compare_walks(case, wanted, pids)


CHUNKS = ChunkMap(Profile.RAID1, 3, chunk_bytes=3 << 20, data_bytes=1 << 20)
SETUP = Setup(3, SATA_7200_2011, CHUNKS.nodesize)


def small(leaves: int = 300) -> Trees:
    return grow(Forest([TreeShape(leaves, fanout=30)], CHUNKS).trees, CHUNKS)


@pytest.mark.parametrize(
    ("setup", "wanted", "complaint"),
    [
        (SETUP, [0] * 9, "at most 8"),
        (replace(SETUP, host=Policy.SHORTEST), [0], "does not know where the platters are"),
        (replace(SETUP, constants=replace(SATA_7200_2011, capacity=1 << 20)), [0], "enlarge the disk"),
    ],
)
def test_what_cannot_be_simulated_is_refused(setup: Setup, wanted: list[int], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        simulate_readahead(small(), setup, Behaviour.linux_5_10, wanted)
    with pytest.raises(ValueError, match=complaint):
        simulate_walk(small(), setup, wanted)


def test_a_tree_is_found_whose_walk_takes_so_long() -> None:
    shape = sized(TreeShape(300, fanout=30), CHUNKS, SETUP, 2.0)
    trees = grow(Forest([shape], CHUNKS).trees, CHUNKS)
    assert simulate_walk(trees, SETUP).seconds == pytest.approx(2.0, rel=ACCEPTED)
    with pytest.raises(ValueError, match="no tree found"):
        sized(TreeShape(300, fanout=30), CHUNKS, SETUP, 0.0001)


def test_all_that_was_read_is_kept() -> None:
    trees = small()
    simulated = simulate_readahead(trees, SETUP, Behaviour.seed_2011)
    assert sorted(simulated.requests["block"]) == list(range(len(trees.logical)))
    assert (simulated.requests["ended_ns"] > simulated.requests["started_ns"]).all()
    assert (simulated.requests["started_ns"] >= simulated.requests["submitted_ns"]).all()
    assert len(simulated.picked) == 0
