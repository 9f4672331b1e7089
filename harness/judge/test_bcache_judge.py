# SPDX-License-Identifier: GPL-2.0-or-later
"""The judge of bcache on records of the model at work: sound ones, of faulty models, and changed ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from harness.bcache.record import Event, Kind, events_of, load_set, save_events, save_set
from harness.bundle import BundleWriter
from harness.errors import UserError
from harness.judge.bcache import BcacheJudgement, behaviour_of, judge_events
from harness.judge.bcache_disk import DISK_CHECKS
from harness.judge.bcache_gc import GC_CHECKS
from harness.judge.bcache_replay import CHECKS, LOOKUPS, Replay
from harness.judge.bcache_testing import COLLECTOR, Recorded, columns_of, recorded
from harness.verdicts import Check, Verdict
from reference.bcache.behaviour import Behaviour
from reference.bcache.faults import FAULTS
from reference.bcache.geometry import Geometry
from reference.bcache.testing import SMALL, TIGHT

ROOMY = Geometry(bucket_size=8, block_size=1, nbuckets=1400, first_bucket=2)
"""Room for a tree that takes a pause to be collected."""
KINDS = (Kind.INSERT, Kind.SORT_INTO, Kind.WRITE, Kind.SPLIT, Kind.FREE, Kind.GC_MARK, Kind.GC_COALESCE)
UNSEEN = {
    "dirty_sectors_are_counted_twice",
    "overwritten_dirty_sectors_stay_counted",
    "data_are_written_in_the_same_place",
    "dirty_data_do_not_mark_their_bucket",
    "moved_data_come_out_clean",
    "gc_takes_dirty_for_clean",
    "gc_does_not_mark_nodes",
    "gc_forgets_the_prios",
    "gc_forgets_the_uuids",
    "bucket_goes_into_two_reserves",
    "key_has_no_pin",
    "key_over_the_end_of_its_leaf_is_not_cut",
    "pinned_bucket_is_reused",
    "rest_of_a_cut_key_is_dropped",
    "root_stays_the_old_one",
}
"""Not recorded: marks of buckets, reserves, sums of dirty sectors, where data are put, what a task has still
to insert. Or the model breaks down at once."""


@cache
def sound(seed: int = 1) -> Recorded:
    return recorded(seed)


def judged(record: Recorded) -> BcacheJudgement:
    return judge_events(record.events, record.found)


def wrong(judgement: BcacheJudgement) -> list[Check]:
    return [check for check in judgement.checks if check.verdict is not Verdict.PASS]


@pytest.mark.parametrize("behaviour", [Behaviour.linux_6_12, Behaviour.linux_7_2])
@pytest.mark.parametrize("geometry", [SMALL, TIGHT])
def test_what_the_model_does_agrees_with_the_model(behaviour: Behaviour, geometry: object) -> None:
    record = recorded(3, 500, SMALL if geometry is SMALL else TIGHT, behaviour)
    assert behaviour_of(record.found) == behaviour
    judgement = judged(record)
    assert wrong(judgement) == []
    assert judgement.counts["keys refused"]
    assert judgement.counts["splits"]
    assert judgement.counts["height of the tree"]


def test_every_check_has_something_to_compare() -> None:
    judgement = judged(recorded(1, 1200))
    assert all(check.compared for check in judgement.checks)
    assert {check.name for check in judgement.checks} >= set(CHECKS) - {LOOKUPS} | set(GC_CHECKS) | set(
        DISK_CHECKS
    )
    assert judgement.counts["coalesced"]
    assert judgement.counts["nodes rewritten"]


@pytest.mark.parametrize("name", sorted(FAULTS.keys() - UNSEEN))
def test_a_kernel_with_this_fault_is_found_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert any(_is_seen(name, seed, monkeypatch) for seed in range(4))


def _is_seen(name: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    with monkeypatch.context() as patched:
        FAULTS[name](patched.setattr)
        record = recorded(seed, 300 + 200 * seed)
    found = [check for check in judged(record).checks if check.verdict is Verdict.FAIL]
    # What a model leaves that broke down is no evidence: only what it did before counts.
    return any(c.first_difference and (c.first_difference.event or not record.broke_down) for c in found)


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_left_out_is_noticed(kind: Kind) -> None:
    events = sound().events
    places = [number for number, e in enumerate(events) if e.kind == kind]
    place = places[len(places) // 2]
    assert wrong(judge_events([*events[:place], *events[place + 1 :]], sound().found))


CHANGES: dict[str, tuple[Kind, Callable[[Event], Event]]] = {
    "a key is refused that was not": (Kind.INSERT, lambda e: e._replace(status=0 if e.status else 4)),
    "a set is shorter": (Kind.INSERT, lambda e: e._replace(words=e.words - 3)),
    "a new set begins later": (Kind.INIT_NEXT, lambda e: e._replace(written=e.written + 1)),
    "a replacement keeps a key more": (Kind.SORTED_INTO, lambda e: e._replace(words=e.words + 3)),
    "a gen is left out": (Kind.INC_GEN, lambda e: e._replace(status=e.status + 1 & 0xFF)),
    "a dirty bucket is used again": (Kind.INVALIDATE, lambda e: e._replace(k0=2)),
    "a bucket in use is used again": (Kind.INVALIDATE, lambda e: e._replace(k1=1)),
    "a bucket that is too old is used again": (
        Kind.INVALIDATE,
        lambda e: e._replace(k2=e.status - 97 & 0xFF),
    ),
    "a node is counted twice": (Kind.GC_MARK, lambda e: e._replace(k0=e.k0 + 1)),
    "a key is counted twice": (Kind.GC_MARK, lambda e: e._replace(k2=e.k2 + 1)),
    "a pause for no reason": (Kind.GC_MARK, lambda e: e._replace(k1=e.k1 + 1)),
    "a window counts other keys": (Kind.GC_COALESCE, lambda e: e._replace(old1=e.old1 + 3)),
    "what fits is not coalesced": (
        Kind.GC_COALESCED,
        lambda e: e._replace(value=0 if e.value else (1 << 32) - 4),
    ),
    "the sum of nodes is another": (Kind.GC_STATS, lambda e: e._replace(k0=e.k0 + 1)),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_event_is_noticed(what: str) -> None:
    kind, change = CHANGES[what]
    events = sound().events
    places = [number for number, e in enumerate(events) if e.kind == kind]
    place = places[len(places) // 2]
    changed = [*events[:place], change(events[place]), *events[place + 1 :]]
    [failed] = [c for c in judge_events(changed, sound().found).checks if c.verdict is Verdict.FAIL]
    assert failed.first_difference


def test_a_pause_of_wrong_length_and_none_where_one_is_due() -> None:
    record = recorded(2, 1500, ROOMY)
    judgement = judged(record)
    assert wrong(judgement) == []
    assert judgement.counts["pauses"] > 5
    events = record.events
    place = next(number for number, e in enumerate(events) if e.kind == Kind.GC_PAUSE)
    longer = [*events[:place], events[place]._replace(value=26), *events[place + 1 :]]
    none = [*events[:place], *events[place + 1 :]]
    for changed in (longer, none):
        [failed] = [c for c in judge_events(changed, record.found).checks if c.verdict is Verdict.FAIL]
        assert failed.name == "pauses of collections"


def test_what_a_read_finds_is_compared() -> None:
    events, found = sound().events, sound().found
    half = len(events) // 2
    replay = Replay(found, behaviour_of(found))
    for event in events[:half]:
        replay.collector = event.pid if event.pid == COLLECTOR else 0
        replay.step(event)
    leaf = next(n for n in replay.nodes.values() if not n.level and any(n.keys.filtered(n.ops.key_bad)))
    first = next(leaf.keys.filtered(leaf.ops.key_bad))
    words = dict(zip(("k0", "k1", "k2"), first.words(), strict=True))
    hit = Event(*[0] * len(Event._fields))._replace(
        kind=Kind.LOOKUP, node=leaf.key.ptr[0], old0=first.start, value=first.inode, **words
    )
    judgement = judge_events([*events[:half], hit, *events[half:]], found)
    assert wrong(judgement) == []
    assert (judgement.counts["hits"], judgement.counts["misses"]) == (1, 0)
    elsewhere = hit._replace(k2=hit.k2 + (1 << 8))
    [failed] = [
        check
        for check in judge_events([*events[:half], elsewhere, *events[half:]], found).checks
        if check.verdict is Verdict.FAIL
    ]
    assert failed.name == "keys found by reads"


def test_the_disk_is_compared() -> None:
    record = sound()
    found = record.found
    leaf = next(n for n, node in enumerate(found.nodes) if not node.level and len(node.bsets[0]) > 2)
    node = found.nodes[leaf]
    shorter = replace(node, bsets=[node.bsets[0][:-1], *node.bsets[1:]])
    fewer_keys = replace(found, nodes=[*found.nodes[:leaf], shorter, *found.nodes[leaf + 1 :]])
    fewer_nodes = replace(found, nodes=[*found.nodes[:leaf], *found.nodes[leaf + 1 :]])
    older = bytearray(found.gens)
    older[found.first_bucket + 20] -= 1
    for changed, check in (
        (fewer_keys, "sets on disk"),
        (fewer_nodes, "nodes on disk"),
        (replace(found, gens=bytes(older)), "gens on disk"),
        (replace(found, findings=["damage 10"]), "checker"),
    ):
        [failed] = [c for c in judge_events(record.events, changed).checks if c.verdict is Verdict.FAIL]
        assert failed.name == check


def test_a_bundle_keeps_all_of_it(tmp_path: Path) -> None:
    record = sound()
    writer = BundleWriter(tmp_path / "bundle")
    save_events(writer, columns_of(record.events))
    save_set(writer, record.found)
    bundle = writer.finish({})
    assert events_of(bundle) == record.events
    loaded = load_set(bundle)
    assert [(n.key, n.level, n.bsets) for n in loaded.nodes] == [
        (n.key, n.level, n.bsets) for n in record.found.nodes
    ]
    assert replace(loaded, nodes=(), findings=()) == replace(record.found, nodes=())


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    writer = BundleWriter(tmp_path / "bundle")
    save_events(writer, {})
    writer.add_json("bcache_set.json", {})
    bundle = writer.finish({})
    with pytest.raises(UserError, match="no column"):
        events_of(bundle)
    with pytest.raises(UserError, match="damaged"):
        load_set(bundle)
