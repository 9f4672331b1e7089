# SPDX-License-Identifier: GPL-2.0-or-later
"""The numbered invariants of a cache set between two operations.

1. The keys of a set are in order: where one ends, the next has not begun.
2. No two extents of a leaf overlap, in whatever sets they are.
3. The sets of a node lie one after the other and end within it; their lengths are those of their keys.
4. No key is after the key of its node; no extent begins before what the node before it ends with.
5. The children of a node that are not stale end at different places, the last one where the node does.
6. The nodes that are reached are all that there are, each once, and the root's key is the largest.
7. No pointer is newer than its bucket, nor more than 96 gens older.
8. No two live extents lie in the same sectors of the cache, and none where there is metadata.
9. Nodes, and what is journal, prios and uuids, are marked as metadata; dirty data as dirty.
10. A bucket waits in one reserve at most, has one pin there, and nothing live points to it.
11. The gens of the buckets in the reserves were written: after a crash no old pointer fits again.
12. Of each device as many sectors are dirty as was counted.
"""

from __future__ import annotations

from itertools import pairwise

from reference.bcache.bkey import ZERO_POSITION, Bkey, Position, max_key, ptr_gen, ptr_offset
from reference.bcache.btree import children
from reference.bcache.geometry import BUCKET_GC_GEN_MAX, PAGE_BYTES, gen_after
from reference.bcache.node import Node
from reference.bcache.structs import CacheSet, GcMark
from reference.rbtree import InvariantError

__all__ = ["InvariantError", "validate"]


def validate(c: CacheSet) -> None:
    """Raise InvariantError if the set breaks an invariant."""
    nodes = _nodes(c)
    for b, begin in nodes:
        _check_sets(b)
        for bset in b.keys.sets:
            _check_order(b, bset.data)
            for k in bset.data:
                _check_key(b, k, begin)
    extents = [k for b, _ in nodes if not b.level for k in _extents(b)]
    _check_shared(extents)
    _check_marks(c, [b for b, _ in nodes], extents)
    _check_reserves(c, [b for b, _ in nodes], extents)
    _check_dirty(c, nodes)


def _nodes(c: CacheSet) -> list[tuple[Node, Position]]:
    """Return the nodes, each with where the one before it ends."""
    if c.root is None or c.root.key.position != max_key().position:
        raise InvariantError(6, f"{c.root} does not go up to the largest key")
    found: list[tuple[Node, Position]] = []
    waiting = [(c.root, ZERO_POSITION)]
    while waiting:
        b, begin = waiting.pop()
        found.append((b, begin))
        if b.level:
            waiting += reversed(_children(b, begin))
    reached = {b.key.ptr[0] for b, _ in found}
    if len(reached) != len(found):
        raise InvariantError(6, "a node is reached twice")
    if reached != set(c.nodes):
        raise InvariantError(6, f"{len(c.nodes)} nodes are there, {len(reached)} are reached")
    return found


def _children(b: Node, begin: Position) -> list[tuple[Node, Position]]:
    found: list[tuple[Node, Position]] = []
    for k in children(b):
        if found and k.position == begin:
            raise InvariantError(5, f"{b} has two children that end at {begin}")
        node = b.c.nodes.get(k.ptr[0])
        if node is None or node.level != b.level - 1 or node.key.position != k.position:
            raise InvariantError(6, f"{b} points to {node} by {k}")
        found.append((node, begin))
        begin = k.position
    if begin != b.key.position:
        raise InvariantError(5, f"the last child of {b} ends at {begin}")
    return found


def _check_sets(b: Node) -> None:
    end = 0
    for bset in b.keys.sets:
        if bset.block < end:
            raise InvariantError(3, f"{b}: the set at block {bset.block} begins in the one before")
        if bset.u64s != sum(k.u64s for k in bset.data):
            raise InvariantError(3, f"{b}: a set of {bset.u64s} words has others")
        end = bset.block + (b.blocks_of(bset) if bset.data or bset is not b.keys.last else 0)
    last = b.keys.last
    if last.block * b.c.geometry.block_bytes + last.set_bytes > PAGE_BYTES << b.keys.page_order:
        raise InvariantError(3, f"{b}: its last set is over its end")


def _check_order(b: Node, keys: list[Bkey]) -> None:
    for before, after in pairwise(keys):
        begin = after.position if b.level else after.start_position
        if before.position > begin:
            raise InvariantError(1, f"{b}: {after} comes after {before}")


def _check_key(b: Node, k: Bkey, begin: Position) -> None:
    if k.position > b.key.position:
        raise InvariantError(4, f"{k} is after {b}")
    if not k.size:
        # Its pointers were moved behind what it had, perhaps into the next bucket.
        return
    if not b.level and k.start_position < begin:
        raise InvariantError(4, f"{k} begins before {begin}, where the node before {b} ends")
    for ptr in k.ptr:
        if not b.c.geometry.available(ptr):
            continue
        gen = b.c.cache.bucket_of(ptr).gen
        if gen_after(ptr_gen(ptr), gen) or gen_after(gen, ptr_gen(ptr)) > BUCKET_GC_GEN_MAX:
            raise InvariantError(7, f"{k} in {b}: its bucket has gen {gen}")


def _extents(b: Node) -> list[Bkey]:
    """Return the live extents of a leaf, after a look at all of them."""
    sized = sorted(
        (k for bset in b.keys.sets for k in bset.data if k.size), key=lambda k: (k.start_position, k.position)
    )
    for before, after in pairwise(sized):
        if before.position > after.start_position:
            raise InvariantError(2, f"{b}: {before} and {after} overlap")
    return [k for k in sized if not b.ops.key_bad(k)]


def _check_shared(extents: list[Bkey]) -> None:
    ranges = sorted((ptr_offset(ptr), k.size, str(k)) for k in extents for ptr in k.ptr)
    for (start, size, before), (next_start, _, after) in pairwise(ranges):
        if start + size > next_start:
            raise InvariantError(8, f"{before} and {after} lie in the same sectors")


def _metadata(c: CacheSet, nodes: list[Node]) -> set[int]:
    ca = c.cache
    uuids = [c.geometry.bucket_of(ptr) for ptr in c.uuid_bucket.ptr] if c.uuid_bucket else []
    own = [c.geometry.bucket_of(b.key.ptr[0]) for b in nodes]
    return {*own, *uuids, *ca.journal, *ca.prio_buckets}


def _check_marks(c: CacheSet, nodes: list[Node], extents: list[Bkey]) -> None:
    metadata = _metadata(c, nodes)
    for k in extents:
        for ptr in k.ptr:
            bucket = c.cache.bucket_of(ptr)
            if bucket.number in metadata:
                raise InvariantError(8, f"{k} lies where there is metadata")
            if c.gc_mark_valid and k.dirty and bucket.gc_mark is not GcMark.DIRTY:
                raise InvariantError(9, f"{k} is dirty, its bucket is {bucket.gc_mark.name}")
    for number in metadata if c.gc_mark_valid else ():
        if c.cache.buckets[number].gc_mark is not GcMark.METADATA:
            raise InvariantError(
                9, f"bucket {number} is {c.cache.buckets[number].gc_mark.name}, not METADATA"
            )


def _check_reserves(c: CacheSet, nodes: list[Node], extents: list[Bkey]) -> None:
    ca = c.cache
    used = _metadata(c, nodes) | {c.geometry.bucket_of(ptr) for k in extents for ptr in k.ptr}
    waiting = [bucket for fifo in (*ca.free.values(), ca.free_inc) for bucket in fifo]
    if len(set(waiting)) != len(waiting):
        raise InvariantError(10, "a bucket waits in two reserves")
    for bucket in waiting:
        if bucket in used or ca.buckets[bucket].pin != 1:
            raise InvariantError(10, f"bucket {bucket} waits in a reserve and is used, or not pinned once")
    if not c.sync:
        return
    for bucket in (bucket for fifo in ca.free.values() for bucket in fifo):
        if ca.buckets[bucket].gen != ca.disk_gens[bucket]:
            raise InvariantError(11, f"bucket {bucket} is free with a gen that was not written")


def _check_dirty(c: CacheSet, nodes: list[tuple[Node, Position]]) -> None:
    dirty: dict[int, int] = {}
    for b, _ in nodes:
        for bset in b.keys.sets if not b.level else ():
            for k in bset.data:
                if k.dirty and k.size:
                    dirty[k.inode] = dirty.get(k.inode, 0) + k.size
    for inode in dirty.keys() | c.sectors_dirty.keys():
        if dirty.get(inode, 0) != c.sectors_dirty.get(inode, 0):
            counted = c.sectors_dirty.get(inode, 0)
            raise InvariantError(12, f"device {inode}: {dirty.get(inode, 0)} dirty, {counted} counted")
