# SPDX-License-Identifier: GPL-2.0-or-later
"""Follows the record of a real set through the model of the btree, node by node, and says where they part.

From the record come: which task does what to which node, and when; which keys are inserted; which buckets
are reused. From the model comes everything else, and each of it must be in the record: what becomes of a
key, how many sets a node has and how long the last one is, what is sorted together, what a replacement
keeps, whether a node is split and where, how coalesced nodes are filled, and what is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.bcache.record import Event, Kind, SetOnDisk
from harness.judge.bcache_tasks import Coalesce, Disagreement, Sort, Split, Task
from reference.bcache import btree, gc
from reference.bcache.behaviour import Behaviour
from reference.bcache.bkey import ZERO_POSITION, Bkey, key, make_ptr, max_key, ptr_gen, ptr_offset
from reference.bcache.bset import Bset, InsertStatus
from reference.bcache.geometry import BUCKET_GC_GEN_MAX, PAGE_BYTES, SECTOR, Geometry
from reference.bcache.live_map import LiveMap
from reference.bcache.node import Node, bch_btree_init_next, btree_node_write
from reference.bcache.structs import Cache, CacheSet, GcMark, Replacement

__all__ = ["CHECKS", "COUNTS", "LOOKUPS", "Replay", "errno", "geometry_of"]

KEYS = "keys inserted or refused"
NODE_KEYS = "keys of nodes"
SETS = "sets of nodes"
SORTED = "nodes replaced"
WRITTEN = "sets written"
SPLITS = "splits and compactions"
COALESCED = "nodes coalesced"
GENS = "gens of buckets"
ROOTS = "roots"
LOOKUPS = "keys found by reads"
CHECKS = (KEYS, LOOKUPS, NODE_KEYS, SETS, SORTED, WRITTEN, SPLITS, COALESCED, GENS, ROOTS)
"""The checks of the replay."""
COUNTS = (
    "keys refused",
    "keys merged",
    "replacements granted",
    "splits",
    "compactions",
    "new roots",
    "coalesced",
    "nodes read again",
    "replaced while gens changed",
    "height of the tree",
    "hits",
    "misses",
    "misses that bypass the cache",
    "reads while gens changed",
)
"""What is counted besides."""
EINTR = 4
RECENT = 8
"""So many gens may have changed while a read went over a leaf."""


def geometry_of(found: SetOnDisk) -> Geometry:
    """Return the geometry of the device that was recorded."""
    return Geometry(found.bucket_size, found.block_size, found.nbuckets, found.first_bucket)


@dataclass
class Replay:
    """One record; `step` takes its rows, one after the other."""

    found: SetOnDisk
    behaviour: Behaviour
    compared: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    nodes: dict[int, Node] = field(default_factory=dict)
    """All that are in use, by their first pointer."""
    root: Node | None = None
    tasks: dict[int, Task] = field(default_factory=dict)
    changes: list[tuple[int, int]] = field(default_factory=list)
    """Every change of a gen so far: bucket, gen before."""
    collector: int = 0
    """The task that collects garbage, 0 while none does."""
    written_gens: tuple[bytes, bytes] | None = None
    """The gens when the prios that were written last were begun, and when they were finished."""

    def __post_init__(self) -> None:
        geometry = geometry_of(self.found)
        self.c = CacheSet(Cache(geometry, 0, Replacement.LRU), self.behaviour)
        self._prios_begun = b""
        self._steps = {
            Kind.INSERT: self._insert,
            Kind.SORT_INTO: self._sort_into,
            Kind.SORTED_INTO: self._sorted_into,
            Kind.INIT_NEXT: self._init_next,
            Kind.NEW_SET: self._new_set,
            Kind.WRITE: self._write,
            Kind.READ: self._read,
            Kind.FREE: self._free,
            Kind.SET_ROOT: self._set_root,
            Kind.SPLIT: self._split,
            Kind.INVALIDATE: self._invalidate,
            Kind.INC_GEN: self._inc_gen,
            Kind.GC_COALESCE: self._coalesce,
            Kind.GC_COALESCED: self._coalesced,
            Kind.PRIO_WRITE: self._prio_write,
            Kind.PRIO_WRITTEN: self._prio_written,
            Kind.LOOKUP: self._lookup,
        }

    def step(self, e: Event) -> None:
        """Take a row; Disagreement when the model says otherwise."""
        if step := self._steps.get(Kind(e.kind)):
            try:
                step(e)
            except AssertionError as error:
                # The model's own BUG_ON.
                raise Disagreement(KEYS, "what the model can do", f"{Kind(e.kind).name}: {error}") from error

    def task(self, e: Event) -> Task:
        """Return what is known of the task that a row is of."""
        return self.tasks.setdefault(e.pid, Task())

    def node(self, ptr: int) -> Node:
        """Return a node; Disagreement when the model has no such."""
        if ptr not in self.nodes:
            bucket = self.c.geometry.bucket_of(ptr)
            raise Disagreement(SETS, f"no node in bucket {bucket} of gen {ptr_gen(ptr)}", "works on one")
        return self.nodes[ptr]

    def compare(self, check: str, model: object, kernel: object) -> None:
        """Hold the kernel's against the model's."""
        self.compared[check] += 1
        if model != kernel:
            raise Disagreement(check, str(model), str(kernel))

    def gens(self) -> bytes:
        """Return the gens of all buckets as they are."""
        return bytes(b.gen for b in self.c.cache.buckets)

    # Keys

    def _insert(self, e: Event) -> None:
        node = self.node(e.node)
        k = e.key
        assert k.position <= node.key.position, f"{k} is inserted into {node}"
        if node.level:
            self._check_node_key(k)
        replace_key = e.replace_key
        status = node.keys.insert_key(k, replace_key)
        self.compare(KEYS, status.name, _status(e.status))
        self._compare_shape(KEYS, node, e)
        refused = status is InsertStatus.NO_INSERT
        self.counts["keys refused"] += refused
        self.counts["replacements granted"] += replace_key is not None and not refused
        self.counts["keys merged"] += status is InsertStatus.BACK_MERGE

    def _check_node_key(self, k: Bkey) -> None:
        """A key of an inner node is that of a node, at the place where the model has it; or frees one."""
        if k.position == ZERO_POSITION:
            freed = make_ptr(ptr_gen(k.ptr[0]) - 1 & 0xFF, ptr_offset(k.ptr[0]), 0)
            self.compare(NODE_KEYS, True, freed in self.nodes)
            return
        self.compare(NODE_KEYS, self.node(k.ptr[0]).key, k)

    def _compare_shape(self, check: str, node: Node, e: Event) -> None:
        model = node.keys.nsets, node.keys.last.u64s, node.written
        if model != (e.nsets, e.words, e.written):
            words = "{} sets, {} words in the last, {} blocks written".format
            sets, last, written = model
            raise Disagreement(check, words(sets + 1, last, written), words(e.nsets + 1, e.words, e.written))

    def _lookup(self, e: Event) -> None:
        """A read finds the next extent of the leaf that is of use, or else where the leaf ends."""
        node = self.node(e.node)
        place, k = (e.value, e.old0), e.key
        if k.position <= place:
            return
        found = next(node.keys.filtered(node.ops.key_bad, place), None) or key(*node.key.position, 0)
        recent = {bucket for bucket, _ in self.changes[-RECENT:]}
        if found != k and recent & {self.c.geometry.bucket_of(ptr) for ptr in (*found.ptr, *k.ptr)}:
            self.counts["reads while gens changed"] += 1
            return
        self.compare(LOOKUPS, found, k)
        is_hit = k.inode == e.value and k.start <= e.old0 and bool(k.size)
        missed = "misses that bypass the cache" if e.status else "misses"
        self.counts["hits" if is_hit else missed] += 1

    # Sets of a node

    def _new_set(self, e: Event) -> None:
        if e.value == 0:
            self._new_node(e)
            return
        node = self.node(e.node)
        model = node.keys
        assert model.last_set_unwritten, f"{node} is full"
        block = e.value // self.c.geometry.block_bytes
        before = model.sets[-2].u64s if model.nsets else 0
        self.compare(SETS, (model.nsets, before, model.last.block), (e.nsets + 1, e.words, block))

    def _new_node(self, e: Event) -> None:
        size = self.c.geometry.btree_pages * PAGE_BYTES // SECTOR
        node = Node(self.c, key(0, 0, size, [e.node]), e.level, None)
        self.nodes[e.node] = node
        split = self.task(e).split
        if split and split.n1:
            split.made.append(node)

    def _init_next(self, e: Event) -> None:
        node = self.node(e.node)
        self.compared[SETS] += 1
        self._compare_shape(SETS, node, e)
        bch_btree_init_next(node)

    def _write(self, e: Event) -> None:
        node = self.node(e.node)
        task = self.task(e)
        if task.split:
            self._before_write_in_split(task.split, node)
        elif task.coalesce:
            self._before_write_in_coalesce(task.coalesce, node)
        self.compared[WRITTEN] += 1
        self._compare_shape(WRITTEN, node, e)
        btree_node_write(node)

    def _read(self, e: Event) -> None:
        """`bch_btree_node_read_done`: what was written is all that there is, in one set."""
        node = self.node(e.node)
        self.counts["nodes read again"] += 1
        node.keys.sets[0].replace(_read_back(node))
        del node.keys.sets[1:]
        node.keys.last_set_unwritten = False
        if node.written < node.btree_blocks:
            node.keys.init_next(node.written)

    # Replacing nodes

    def _sort_into(self, e: Event) -> None:
        old = self.node(e.node)
        task = self.task(e)
        self._compare_shape(SORTED, old, e)
        splitting = task.split and task.split.b is old and task.split.n1 is None
        if not splitting and not task.coalesce and e.pid != self.collector:
            raise Disagreement(SORTED, "no split of it, no collection", f"replaces {old}")
        task.sort = Sort(old, self.node(e.k0), len(self.changes))

    def _sorted_into(self, e: Event) -> None:
        task = self.task(e)
        sort, task.sort = task.sort, None
        assert sort is not None
        self._replace(sort, e.words)
        sort.new.key.position = sort.old.key.position
        self.compare(SORTED, (sort.new.key.ptr[0], sort.new.keys.last.u64s), (e.node, e.words))
        if task.split and task.split.b is sort.old and task.split.n1 is None:
            task.split.n1 = sort.new
            # btree_split decides now, before it inserts what it is for.
            blocks = sort.new.blocks_of(sort.new.keys.last)
            task.split.is_split = blocks > sort.old.btree_blocks * 4 // 5
        elif task.coalesce:
            task.coalesce.new.append(sort.new)

    def _replace(self, sort: Sort, words: int) -> None:
        """Take over what is of use; while it was looked at, buckets may have been reused."""
        meanwhile = self.changes[sort.changes :]
        sort.old.keys.sort_into(sort.new.keys)
        if not meanwhile:
            return
        self.counts["replaced while gens changed"] += 1
        buckets = self.c.cache.buckets
        now = {bucket: buckets[bucket].gen for bucket, _ in meanwhile}
        for bucket, gen in reversed(meanwhile):
            if sort.new.keys.last.u64s == words:
                break
            buckets[bucket].gen = gen
            sort.old.keys.sort_into(sort.new.keys)
        for bucket, gen in now.items():
            buckets[bucket].gen = gen

    def _split(self, e: Event) -> None:
        b = self.node(e.node)
        self._compare_shape(SPLITS, b, e)
        splits = self.task(e).splits
        if splits and splits[-1].n1 is None:
            # For want of buckets, or of memory for nodes.
            splits.pop()
        splits.append(Split(b))

    def _before_write_in_split(self, split: Split, node: Node) -> None:
        """Divide the node at the first write, of the second half; decide at the last one of the two."""
        n1 = split.n1
        if n1 is None:
            return
        if split.is_split and not split.divided and split.made and node is split.made[0]:
            btree.divide(n1, split.made[0], split.b.key.position)
            split.divided = True
        if node is n1:
            expected = (1 + (split.b is self.root)) if split.is_split else 0
            self.compare(SPLITS, f"{expected} new nodes", f"{len(split.made)} new nodes")
            self.counts["splits" if split.is_split else "compactions"] += 1
            if expected == 2:
                self.counts["new roots"] += 1
                split.made[1].key.position = max_key().position

    # The rest of a node's life

    def _free(self, e: Event) -> None:
        node = self.node(e.node)
        task = self.task(e)
        if task.split and task.split.b is node:
            task.splits.pop()
        if node is self.root:
            raise Disagreement(ROOTS, "the root is in use", "frees it")
        del self.nodes[e.node]

    def _set_root(self, e: Event) -> None:
        node = self.node(e.node)
        if self.root is None:
            node.key.position = max_key().position
        self.compare(ROOTS, max_key().position, node.key.position)
        self.root = node
        self.counts["height of the tree"] = max(self.counts["height of the tree"], node.level)

    # Coalescing

    def _coalesce(self, e: Event) -> None:
        window = [ptr for ptr in (e.k0, e.k1, e.k2, e.old0) if ptr]
        self.task(e).coalesce = Coalesce([self.node(ptr) for ptr in window])

    def _before_write_in_coalesce(self, merge: Coalesce, node: Node) -> None:
        """Before the new nodes are written, the last first, each gets keys of the one before it."""
        n = len(merge.old) - merge.written - 1
        if n < 1 or len(merge.new) != len(merge.old) or node is not merge.new[n]:
            return
        blocks = gc.default_blocks(self.c) * 2 // 3
        moved = gc.move_keys(merge.new[n], merge.new[n - 1], merge.old[0] if n == 1 else None, blocks)
        self.compare(COALESCED, True, moved)
        merge.written += 1

    def _coalesced(self, e: Event) -> None:
        task = self.task(e)
        merge, task.coalesce = task.coalesce, None
        assert merge is not None
        done = errno(e.value) == EINTR
        self.compare(COALESCED, done, merge.written == len(merge.old) - 1 and bool(merge.new))
        self.counts["coalesced"] += done

    # Buckets

    def _invalidate(self, e: Event) -> None:
        bucket = self.c.cache.buckets[e.value]
        mark = GcMark(e.k0 & 3).name
        reusable = mark in (GcMark.NONE.name, GcMark.RECLAIMABLE.name) and not e.k1
        assert reusable, f"bucket {e.value}, {mark} and with {e.k1} pins, is invalidated"
        behind = bucket.gen - e.k2 & 0xFF
        assert behind < BUCKET_GC_GEN_MAX, f"bucket {e.value} is invalidated {behind} gens after the oldest"
        self._inc_gen(e)

    def _inc_gen(self, e: Event) -> None:
        bucket = self.c.cache.buckets[e.value]
        self.compare(GENS, (e.value, bucket.gen + 1 & 0xFF), (e.value, e.status))
        self.changes.append((e.value, bucket.gen))
        bucket.gen = e.status

    def _prio_write(self, _e: Event) -> None:
        self._prios_begun = self.gens()

    def _prio_written(self, e: Event) -> None:
        if e.value == 0:
            self.written_gens = self._prios_begun, self.gens()


def _read_back(node: Node) -> list[Bkey]:
    """Return the keys of all sets that were written, newer ones over older ones."""
    if node.level:
        return node.keys.mergesort([_bset(keys) for keys in node.on_disk], node.ops.key_invalid)
    live = LiveMap()
    for keys in node.on_disk:
        for k in keys:
            live.insert(k.copy())
    merged: list[Bkey] = []
    for k in live:
        if not node.ops.key_invalid(k) and not (merged and node.keys.try_merge(merged[-1], k)):
            merged.append(k.copy())
    return merged


def _bset(keys: Sequence[Bkey]) -> Bset:
    bset = Bset(0)
    bset.replace([k.copy() for k in keys])
    return bset


def _status(value: int) -> str:
    return InsertStatus(value).name if value in list(InsertStatus) else f"status {value}"


def errno(value: int) -> int:
    """Return the error of a negative int that was recorded as 32 bits without a sign; 0 for none."""
    return (1 << 32) - value if value >> 31 else 0
