# SPDX-License-Identifier: GPL-2.0-or-later
"""Several readaheads at once, chosen by hypothesis, against what the naive model says must be read.

After each step the engine is valid. In the end each readahead has wanted each block of its range once, no
other, and none of what lies below a block that failed or had another generation.
"""

from __future__ import annotations

from collections import Counter
from errno import EIO

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from reference.readahead.behaviour import MAX_IN_FLIGHT, Behaviour
from reference.readahead.engine import Readahead, run
from reference.readahead.naive import blocks_to_read
from reference.readahead.source import Key, Root
from reference.readahead.structs import ReadaControl
from reference.readahead.testing import Blocks, Keeper, key
from reference.readahead.work import reada_start_machine

DEVICES = 4
GROUPS = 6
BLOCKS_PER_GROUP = 12
COPIES = st.one_of(
    st.permutations(range(1, DEVICES + 1)).flatmap(
        lambda devids: st.integers(1, 3).map(lambda copies: tuple(devids[:copies]))
    ),
    st.integers(1, DEVICES).map(lambda devid: (devid, devid)),
    st.just(()),
)
"""The devices of a block group: 1 to 3 copies, DUP, or no chunk at all."""
KEYS = st.integers(0, 130).map(key)


def left_out(behaviour: Behaviour, source: Blocks) -> set[int]:
    """Return the addresses that cannot be read ahead: no chunk, too many copies, DUP in the seed."""
    unfit: set[int] = set()
    for bytenr in source.nodes:
        mapping = source.map_block(bytenr)
        devids = [stripe.devid for stripe in mapping.stripes] if mapping else []
        twice = behaviour.dup_meets_eexist and len(set(devids)) < len(devids)
        if not devids or len(devids) > behaviour.max_mirrors or twice:
            unfit.add(bytenr)
    return unfit


class ManyReadaheads(RuleBasedStateMachine):
    behaviour: Behaviour

    @initialize(
        groups=st.lists(COPIES, min_size=GROUPS, max_size=GROUPS),
        places=st.permutations(range(GROUPS * BLOCKS_PER_GROUP)),
        leaves=st.tuples(st.integers(1, 12), st.integers(1, 12)),
        fanout=st.integers(2, 4),
        stale=st.sets(st.integers(0, GROUPS * BLOCKS_PER_GROUP - 1), max_size=3),
        missing=st.sets(st.integers(1, DEVICES), max_size=1),
    )
    def format(
        self,
        groups: list[tuple[int, ...]],
        places: list[int],
        leaves: tuple[int, int],
        fanout: int,
        stale: set[int],
        missing: set[int],
    ) -> None:
        self.source = Blocks(groups, BLOCKS_PER_GROUP)
        self.roots = [
            self.source.grow(leaves[0], fanout, places[:36], stale),
            self.source.grow(leaves[1], fanout, places[36:], stale, generation=9),
        ]
        self.missing = missing
        self.keeper = Keeper()
        self.readahead = Readahead(
            self.source, range(1, DEVICES + 1), self.behaviour, missing=missing, observer=self.keeper
        )
        self.added: list[tuple[ReadaControl, Root, Key, Key]] = []
        self.held: list[ReadaControl] = []
        self.failed: Counter[int] = Counter()
        self.dropped: Counter[int] = Counter()
        self.read: Counter[int] = Counter()

    @rule(tree=st.integers(0, 1), start=KEYS, end=KEYS)
    def add(self, tree: int, start: Key, end: Key) -> None:
        root = self.roots[tree]
        rc = self.readahead.add(root, start, end)
        wanted = root.bytenr not in left_out_here(self)
        assert (rc is not None) == (wanted or not self.behaviour.add_can_fail)
        if rc is not None and wanted:
            self.added.append((rc, root, start, end))
        if rc is not None:
            self.held.append(rc)

    @precondition(lambda self: self.readahead.pending)
    @rule(which=st.integers(0, 1000), fails=st.sampled_from((False, False, False, True)))
    def complete(self, which: int, fails: bool) -> None:
        reads = self.readahead.pending
        read = reads[which % len(reads)]
        mapping = self.source.map_block(read.logical)
        assert mapping is not None
        assert read.devid == mapping.stripes[read.mirror_num - 1].devid
        self.read[read.logical] += 1
        self.failed[read.logical] += fails or read.err != 0
        self.readahead.complete(read.logical, -EIO if fails else None)

    @precondition(lambda self: self.readahead.reads.in_memory)
    @rule(which=st.integers(0, 1000))
    def drop_from_memory(self, which: int) -> None:
        blocks = sorted(self.readahead.reads.in_memory)
        block = blocks[which % len(blocks)]
        self.dropped[block] += 1
        self.readahead.reads.in_memory.discard(block)

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 1000))
    def detach(self, which: int) -> None:
        self.readahead.detach(self.held.pop(which % len(self.held)))

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 1000))
    def wait(self, which: int) -> None:
        rc = self.held.pop(which % len(self.held))

        def note(reads: list[object]) -> int:
            logical = self.readahead.pending[which % len(reads)].logical
            self.read[logical] += 1
            self.failed[logical] += self.readahead.reads.pending[logical].err != 0
            return which % len(reads)

        self.readahead.wait(rc, note)  # type: ignore[arg-type]

    @rule()
    def start_again(self) -> None:
        run(reada_start_machine(self.readahead.fs_info))
        self.readahead.work()

    @invariant()
    def valid(self) -> None:
        if hasattr(self, "readahead"):
            self.readahead.validate()
            picked = Counter(read.picked_by for read in self.readahead.pending)
            if self.behaviour.in_flight_until_completion:
                assert all(count <= MAX_IN_FLIGHT for count in picked.values())

    def teardown(self) -> None:
        if not hasattr(self, "readahead"):
            return
        while self.readahead.pending:
            self.complete(0, False)
            self.valid()
        for rc in self.held:
            self.readahead.wait(rc)
        fs_info = self.readahead.fs_info
        assert len(fs_info.reada_tree) == 0
        for rc, root, start, end in self.added:
            over = self.keeper.over[rc]
            failing = {bytenr for bytenr, err in over.items() if err}
            expected = blocks_to_read(self.source, root, start, end, failing, left_out_here(self))
            assert sorted(self.keeper.blocks[rc]) == sorted(expected)
            assert sorted(over) == sorted(expected)
            assert all(self.failed[bytenr] for bytenr in failing)
        for bytenr, times in self.read.items():
            assert times <= 1 + self.failed[bytenr] + self.dropped[bytenr]


def left_out_here(machine: ManyReadaheads) -> set[int]:
    """Return what cannot be read ahead with the devices that are there."""
    unfit = left_out(machine.behaviour, machine.source)
    for bytenr in machine.source.nodes:
        mapping = machine.source.map_block(bytenr)
        devids = {stripe.devid for stripe in mapping.stripes} if mapping else set()
        if not machine.behaviour.reads_missing_devices and devids <= machine.missing:
            unfit.add(bytenr)
    return unfit


@pytest.mark.parametrize("behaviour", [Behaviour.linux_5_10, Behaviour.seed_2011], ids=lambda b: b.name)
def test_each_readahead_reads_its_range_once(behaviour: Behaviour) -> None:
    machine = type("Machine", (ManyReadaheads,), {"behaviour": behaviour})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=60, stateful_step_count=40, deadline=None, database=None)
    )
