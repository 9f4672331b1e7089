# SPDX-License-Identifier: GPL-2.0-or-later
"""Garbage collection of the btree: marking what is in use, rewriting and coalescing nodes, with pauses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from reference.bcache.alloc import bch_can_invalidate_bucket
from reference.bcache.bkey import ZERO_POSITION, Bkey, ptr_gen
from reference.bcache.bset import set_blocks
from reference.bcache.btree import BtreeOp, bch_btree_insert_node, btree_check_reserve, child
from reference.bcache.geometry import PAGE_BYTES, SECTOR, gen_after
from reference.bcache.node import (
    NoBucketError,
    Node,
    bch_btree_node_write,
    bch_btree_set_root,
    btree_node_alloc_replacement,
    btree_node_free,
    make_btree_freeing_key,
)
from reference.bcache.structs import MAX_GC_SECTORS_USED, CacheSet, GcMark, GcStat

__all__ = [
    "GC_MERGE_NODES",
    "STALE_MAX",
    "GcPause",
    "bch_btree_gc",
    "bch_btree_gc_finish",
    "btree_gc_min_nodes",
    "btree_gc_sleep_ms",
    "default_blocks",
    "gc_should_run",
    "mark_key",
    "move_keys",
]

GC_MERGE_NODES = 4
GC_NODES_MIN = 10
MAX_GC_TIMES_SHIFT = 7
GC_SLEEP_MS_MIN = 10
GC_SLEEP_MS = 100
MIN_GC_NODES = 100
"""6.12's, and MAX_GC_TIMES the same."""
STALE_MAX = 10
SHRT_MAX = 0x7FFF


class _Again(Enum):
    """Why a walk ended before its end."""

    PAUSE = "-EAGAIN"
    CHANGED = "-EINTR"


@dataclass(frozen=True)
class GcPause:
    """Garbage collection sleeps, and others work meanwhile."""

    sleep_ms: int
    nodes: int
    """How many it has looked at, in this run."""


@dataclass
class _Merge:
    """`struct gc_merge_info`."""

    b: Node | None
    keys: int = 0


@dataclass
class _Run:
    """One garbage collection."""

    c: CacheSet
    gc: GcStat
    op: BtreeOp


def gc_should_run(c: CacheSet) -> bool:
    """Whether the allocator has run out, or enough was written since the last time."""
    return c.cache.invalidate_needs_gc or c.sectors_to_gc < 0


def btree_gc_min_nodes(c: CacheSet) -> int:
    """Return after how many nodes garbage collection pauses."""
    if c.behaviour.gc_pauses_for_searches_only:
        return max(c.gc_stats.nodes // MIN_GC_NODES, MIN_GC_NODES)
    if c.search_inflight == 0:
        return max(GC_NODES_MIN, c.gc_stats.nodes >> MAX_GC_TIMES_SHIFT)
    return GC_NODES_MIN


def btree_gc_sleep_ms(c: CacheSet) -> int:
    """Return how long a pause is, ms."""
    if not c.behaviour.gc_pauses_for_searches_only and c.bucket_wait_cnt > 0:
        return GC_SLEEP_MS_MIN
    return GC_SLEEP_MS


def _should_pause(run: _Run) -> bool:
    c, gc = run.c, run.gc
    if c.behaviour.gc_pauses_for_searches_only and not c.search_inflight:
        return False
    return gc.nodes >= gc.nodes_pre + btree_gc_min_nodes(c)


def mark_key(c: CacheSet, level: int, k: Bkey) -> int:
    """`__bch_btree_mark_key`: note what the buckets of a key hold; returns by how much it is stale."""
    stale = 0
    if k.position == ZERO_POSITION:
        return stale
    for ptr in k.ptr:
        if not c.geometry.available(ptr):
            continue
        g = c.cache.bucket_of(ptr)
        if gen_after(g.last_gc, ptr_gen(ptr)):
            g.last_gc = ptr_gen(ptr)
        if behind := c.ptr_stale(ptr):
            stale = max(stale, behind)
            continue
        metadata = g.gc_mark is GcMark.METADATA
        assert not g.gc_mark or metadata == (level != 0), f"{k}: bucket {g.number} is {g.gc_mark.name}"
        if level:
            g.gc_mark = GcMark.METADATA
        elif k.dirty:
            g.gc_mark = GcMark.DIRTY
        elif not g.gc_mark:
            g.gc_mark = GcMark.RECLAIMABLE
        g.gc_sectors_used = min(g.gc_sectors_used + k.size, MAX_GC_SECTORS_USED)
    return stale


def btree_gc_mark_node(run: _Run, b: Node) -> bool:
    """Mark all keys of a node; returns whether it is worth rewriting."""
    run.gc.nodes += 1
    stale = keys = good = 0
    for k in b.keys.filtered(b.ops.key_invalid):
        stale = max(stale, mark_key(run.c, b.level, k))
        keys += 1
        if b.ops.key_bad(k):
            continue
        good += 1
        run.gc.key_bytes += k.u64s
        run.gc.nkeys += 1
        run.gc.data += k.size
    return stale > STALE_MAX or (keys - good) * 2 > keys


def _count_keys(b: Node) -> int:
    """`btree_gc_count_keys`: words of the good keys."""
    return sum(k.u64s for k in b.keys.filtered(b.ops.key_bad))


def default_blocks(c: CacheSet) -> int:
    """`btreedefault_blocks`."""
    return c.geometry.btree_pages * PAGE_BYTES // SECTOR // c.geometry.block_size


def btree_gc_coalesce(run: _Run, b: Node, r: list[_Merge]) -> bool:
    """Make n - 1 nodes of the n children of `b` in `r`, newest first, if they fit; returns whether it did.

    They are filled from the last on, to 2/3; the keys of the first one have to find room in the second.
    """
    c = run.c
    if not btree_check_reserve(b):
        return False
    old: list[Node] = []
    keys = 0
    for merge in r:
        if merge.b is None:
            break
        old.append(merge.b)
        keys += merge.keys
    blocks = default_blocks(c) * 2 // 3
    if len(old) < 2 or set_blocks(keys, c.geometry) > blocks * (len(old) - 1):
        return False
    new: list[Node] = []
    try:
        new.extend(btree_node_alloc_replacement(node) for node in old)
    except NoBucketError:
        return _give_up(new)
    if not btree_check_reserve(b):
        return _give_up(new)
    insert_keys: list[Bkey] = []
    for i in range(len(old) - 1, 0, -1):
        if not move_keys(new[i], new[i - 1], old[0] if i == 1 else None, blocks):
            return _give_up(new)
        r[i].keys = new[i].keys.sets[0].u64s
        bch_btree_node_write(new[i])
        insert_keys.append(new[i].key.copy())
    assert not new[0].keys.sets[0].data
    btree_node_free(new[0])
    insert_keys += [make_btree_freeing_key(node) for node in old]
    bch_btree_insert_node(b, run.op, insert_keys)
    assert not insert_keys
    for node in old:
        btree_node_free(node)
    run.gc.nodes -= 1
    return True


def move_keys(to: Node, source: Node, last_node: Node | None, blocks: int) -> bool:
    """Append to `to` what fits of the first keys of `source`; of the `last_node` that goes, all has to."""
    n1, n2 = to.keys.sets[0], source.keys.sets[0]
    count = u64s = 0
    if last_node is None:
        for k in n2.data:
            if set_blocks(n1.u64s + u64s + k.u64s, to.c.geometry) > blocks:
                break
            count += 1
            u64s += k.u64s
        if count:
            to.key.position = n2.data[count - 1].position
    else:
        if set_blocks(n1.u64s + n2.u64s, to.c.geometry) > to.btree_blocks:
            return False
        count = len(n2.data)
        to.key.position = last_node.key.position
    n1.replace(n1.data + n2.data[:count])
    n2.replace(n2.data[count:])
    return True


def _give_up(new: list[Node]) -> bool:
    for node in new:
        btree_node_free(node)
    return False


def btree_gc_rewrite_node(run: _Run, b: Node, replace: Node) -> bool:
    """Replace a child of `b` by one without its stale keys; returns whether it did."""
    if not btree_check_reserve(b):
        return False
    try:
        n = btree_node_alloc_replacement(replace)
    except NoBucketError:
        return False
    if not btree_check_reserve(b):
        btree_node_free(n)
        return False
    bch_btree_node_write(n)
    keys = [n.key.copy(), make_btree_freeing_key(replace)]
    bch_btree_insert_node(b, run.op, keys)
    assert not keys
    btree_node_free(replace)
    return True


def btree_gc_recurse(run: _Run, b: Node) -> _Again | None:
    """Go over the children of `b` from gc_done on, four at a time: try to coalesce, mark the last of them."""
    c = run.c
    r = [_Merge(None) for _ in range(GC_MERGE_NODES)]
    # Of a place in the window that was never filled, as -EINTR in the kernel: no end of the children.
    filled = 0
    waiting = b.keys.filtered(b.ops.key_bad, c.gc_done)
    outcome: _Again | None = None
    more = True
    while True:
        k = next(waiting, None) if more else None
        more = k is not None
        if k is not None:
            r[0] = _Merge(child(b, k))
            r[0].keys = _count_keys(child(b, k))
            if btree_gc_coalesce(run, b, r):
                outcome = _Again.CHANGED
                r = []
                break
        last = r[-1].b
        if last is None and filled >= GC_MERGE_NODES - 1:
            break
        if last is not None and (outcome := _gc_child(run, b, last)):
            break
        r = [_Merge(None), *r[:-1]]
        filled += 1
        if _should_pause(run):
            run.gc.nodes_pre = run.gc.nodes
            outcome = _Again.PAUSE
            break
    for merge in r:
        if merge.b is not None and merge.b.key.ptr[0] in c.nodes:
            _flush(merge.b)
    return outcome


def _gc_child(run: _Run, b: Node, last: Node) -> _Again | None:
    """Mark a child and all below it; it may be replaced, and then the walk begins again where it was."""
    if btree_gc_mark_node(run, last) and btree_gc_rewrite_node(run, b, last):
        return _Again.CHANGED
    if last.level and (outcome := btree_gc_recurse(run, last)):
        return outcome
    run.c.gc_done = last.key.position
    _flush(last)
    return None


def _flush(b: Node) -> None:
    """Write a node: replaced keys are not in the journal, and their buckets are about to be reused."""
    if b.dirty:
        bch_btree_node_write(b)


def bch_btree_gc_root(run: _Run) -> _Again | None:
    """Collect from the root on."""
    b = run.c.root
    assert b is not None
    b.parent = None
    if btree_gc_mark_node(run, b):
        try:
            n = btree_node_alloc_replacement(b)
        except NoBucketError:
            pass
        else:
            bch_btree_node_write(n)
            bch_btree_set_root(n)
            btree_node_free(b)
            return _Again.CHANGED
    mark_key(run.c, b.level + 1, b.key)
    if b.level and (outcome := btree_gc_recurse(run, b)):
        return outcome
    run.c.gc_done = b.key.position
    return None


def btree_gc_start(c: CacheSet) -> None:
    """Forget all marks, and remember which buckets may be reused all the same."""
    if not c.gc_mark_valid:
        return
    c.gc_done = ZERO_POSITION
    for b in c.cache.each_bucket():
        b.last_gc = b.gen
        if bch_can_invalidate_bucket(c, b):
            b.reclaimable_in_gc = True
        if not b.pin:
            b.gc_mark = GcMark.NONE
            b.gc_sectors_used = 0
    c.gc_mark_valid = False


def bch_btree_gc_finish(c: CacheSet) -> None:
    """Mark what no key points to: uuids, journal, prios, what writeback is at work on; count what is free."""
    c.sectors_to_gc = c.geometry.bucket_size * c.geometry.nbuckets // 16
    c.gc_mark_valid = True
    c.need_gc = 0
    ca = c.cache
    for ptr in c.uuid_bucket.ptr if c.uuid_bucket else ():
        ca.bucket_of(ptr).gc_mark = GcMark.METADATA
    for k in c.writeback_keys:
        for ptr in k.ptr:
            ca.bucket_of(ptr).gc_mark = GcMark.DIRTY
    for number in (*ca.journal, *ca.prio_buckets, *ca.prio_last_buckets):
        ca.buckets[number].gc_mark = GcMark.METADATA
    ca.invalidate_needs_gc = False
    c.avail_nbuckets = 0
    for b in ca.each_bucket():
        c.need_gc = max(c.need_gc, b.gc_gen)
        b.reclaimable_in_gc = False
        if b.pin:
            continue
        assert b.gc_mark or not b.gc_sectors_used, f"bucket {b.number} has sectors and no mark"
        if b.gc_mark in (GcMark.NONE, GcMark.RECLAIMABLE):
            c.avail_nbuckets += 1


def bch_btree_gc(c: CacheSet, op: BtreeOp | None = None) -> Iterator[GcPause]:
    """Collect garbage, and yield at each pause; who drives it may let others work then."""
    op = op or BtreeOp()
    op.lock = SHRT_MAX
    run = _Run(c, GcStat(), op)
    btree_gc_start(c)
    while outcome := bch_btree_gc_root(run):
        if outcome is _Again.PAUSE:
            yield GcPause(btree_gc_sleep_ms(c), run.gc.nodes)
    bch_btree_gc_finish(c)
    run.gc.key_bytes *= 8
    run.gc.data <<= 9
    c.gc_stats = run.gc
