# SPDX-License-Identifier: GPL-2.0-or-later
"""What probes on the kernel's bcache saw, one row an event in total order, and the tree on disk afterwards.

The probes are harness/capture/bcache.bpf.c. A node is named by the first pointer of its key, which nothing
else has had before, as its gen is in it. What a kind does not say is 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from harness.bundle import Bundle, BundleWriter, Table
from harness.capture.ring import HEADER_BYTES
from harness.errors import UserError
from reference.bcache.bkey import Bkey

__all__ = [
    "EVENTS_FILE",
    "EVENT_BYTES",
    "RECORD",
    "Event",
    "Kind",
    "NodeOnDisk",
    "SetOnDisk",
    "events_of",
    "load_set",
    "save_events",
    "save_set",
]

EVENTS_FILE = "bcache_events.npz"
SET_FILE = "bcache_set.json"
NODES_FILE = "bcache_nodes.npz"
KEYS_FILE = "bcache_keys.npz"
GENS_FILE = "bcache_gens.npz"


class Kind(IntEnum):
    """What a row tells of. The functions are of drivers/md/bcache."""

    INSERT = 1
    """bch_btree_insert_key() returns `status`: key as it was given, old: the key to be replaced if value is
    1; words, nsets, written as they are then."""
    SORT_INTO = 2
    """bch_btree_sort_into() entered: node is the old one, k0 the new one."""
    SORTED_INTO = 3
    """It returns: node is the new one."""
    INIT_NEXT = 4
    """bch_btree_init_next() entered: nothing is sorted yet."""
    NEW_SET = 5
    """bch_bset_init_next() entered: value is where the new set begins, bytes; 0 in a new node."""
    WRITE = 6
    """__bch_btree_node_write() entered: `written` without what is about to be written."""
    READ = 7
    """bch_btree_node_read() entered."""
    FREE = 8
    """btree_node_free() entered."""
    SET_ROOT = 9
    """bch_btree_set_root() entered."""
    SPLIT = 10
    """btree_split() entered: reserve: how many buckets are kept ready for nodes."""
    INVALIDATE = 11
    """__bch_invalidate_one_bucket() entered: value: bucket, status: its next gen, k0: gc_mark, k1: pin,
    k2: last_gc."""
    INC_GEN = 12
    """bch_inc_gen() entered, by somebody else: the same."""
    GC_START = 13
    """bch_btree_gc() entered: k0: jiffies."""
    GC_MARK = 14
    """btree_gc_mark_node() entered: k0, k1, k2, old0, old1: nodes, nodes_pre, nkeys, key_bytes, data of the
    collection so far; value: search_inflight; reserve."""
    GC_COALESCE = 15
    """btree_gc_coalesce() entered: node: the parent, k0, k1, k2, old0: the children in the window, newest
    first, old1 and old2: how many words of keys each has, 32 bits each; value: level of the root; reserve."""
    GC_COALESCED = 16
    """It returns value."""
    GC_PAUSE = 17
    """The collector sleeps for `value` jiffies: k0: jiffies, k1: search_inflight, k2: bucket_wait_cnt."""
    GC_FINISH = 18
    """bch_btree_gc_finish() entered: k0: jiffies."""
    GC_STATS = 19
    """bch_update_bucket_in_use() entered by the collector: k0, k1, k2, old0: nodes, key_bytes, nkeys, data.
    After GC_FINISH of this collection, in bytes; before it of the last one (bch_bucket_alloc asks, too)."""
    PRIO_WRITE = 20
    """bch_prio_write() entered."""
    PRIO_WRITTEN = 21
    """It returns value."""
    LOOKUP = 22
    """cache_lookup_fn() entered, for a read that is at sector old0 of device `value`, with old1 bytes to go:
    key is the next one of the leaf, or where that ends; status: whether the cache is bypassed."""


# struct event in bcache.bpf.c, behind the ring buffer's record header.
_FIELDS = [
    ("time_ns", "<u8"),
    ("node", "<u8"),
    *((name, "<u8") for name in ("k0", "k1", "k2", "old0", "old1", "old2")),
    ("pid", "<u4"),
    ("words", "<u4"),
    ("value", "<u4"),
    ("written", "<u2"),
    ("kind", "u1"),
    ("level", "u1"),
    ("nsets", "u1"),
    ("status", "u1"),
    ("reserve", "<u2"),
    ("unused", "<u4"),
]
RECORD = np.dtype([("header", f"V{HEADER_BYTES}"), *_FIELDS])
EVENT_BYTES = RECORD.itemsize - HEADER_BYTES


class Event(NamedTuple):
    """One row."""

    time_ns: int
    node: int
    k0: int
    k1: int
    k2: int
    old0: int
    old1: int
    old2: int
    pid: int
    words: int
    value: int
    written: int
    kind: int
    level: int
    nsets: int
    status: int
    reserve: int

    @property
    def key(self) -> Bkey:
        """The key of an INSERT."""
        return _bkey(self.k0, self.k1, self.k2)

    @property
    def replace_key(self) -> Bkey | None:
        """The key that an INSERT is to replace, None when it replaces whatever is there."""
        return _bkey(self.old0, self.old1, self.old2) if self.value else None


@dataclass(frozen=True)
class NodeOnDisk:
    """A node as it was found on the device."""

    key: Bkey
    level: int
    bsets: Sequence[Sequence[Bkey]]


@dataclass(frozen=True)
class SetOnDisk:
    """A cache device after its set was stopped, and what it takes to judge what was recorded of it."""

    bucket_size: int
    """Sectors, as is the next."""
    block_size: int
    nbuckets: int
    first_bucket: int
    nodes: Sequence[NodeOnDisk] = ()
    """Parents before children, left before right."""
    gens: bytes = b""
    """As the prio sets have them."""
    findings: Sequence[str] = ()
    """What `iodiff bcache check` says of the device; notes are left out."""
    members: Sequence[str] = field(default_factory=list)
    """Which of the members of `struct cache_set` that tell behaviours apart the kernel has."""
    ticks_per_s: int = 0
    """Jiffies (CONFIG_HZ)."""


def save_events(writer: BundleWriter, events: Table) -> None:
    """Put the recorded columns into a bundle."""
    writer.add_table(EVENTS_FILE, events)


def save_set(writer: BundleWriter, found: SetOnDisk) -> None:
    """Put what was found on disk into a bundle."""
    facts = {
        name: getattr(found, name)
        for name in ("bucket_size", "block_size", "nbuckets", "first_bucket", "ticks_per_s")
    }
    writer.add_json(SET_FILE, {**facts, "findings": list(found.findings), "members": list(found.members)})
    writer.add_table(GENS_FILE, {"gen": np.frombuffer(found.gens, np.uint8)})
    keys = [
        (n, s, *_words(k))
        for n, node in enumerate(found.nodes)
        for s, bset in enumerate(node.bsets)
        for k in bset
    ]
    nodes = [(*_words(node.key), node.level, len(node.bsets)) for node in found.nodes]
    writer.add_table(NODES_FILE, _table(nodes, ("high", "low", "ptr", "level", "bsets")))
    writer.add_table(KEYS_FILE, _table(keys, ("node", "bset", "high", "low", "ptr")))


def load_set(bundle: Bundle) -> SetOnDisk:
    """Return what `save_set` wrote; UserError when the files are not like that."""
    try:
        facts: dict[str, Any] = bundle.json(SET_FILE)
        nodes = bundle.table(NODES_FILE)
        bsets: list[list[list[Bkey]]] = [[[] for _ in range(n)] for n in nodes["bsets"].tolist()]
        table = bundle.table(KEYS_FILE)
        for n, s, *words in zip(
            *(table[c].tolist() for c in ("node", "bset", "high", "low", "ptr")), strict=True
        ):
            bsets[n][s].append(_bkey(*words))
        heads = zip(*(nodes[c].tolist() for c in ("high", "low", "ptr", "level")), strict=True)
        found = [
            NodeOnDisk(_bkey(*words), level, sets) for (*words, level), sets in zip(heads, bsets, strict=True)
        ]
        return SetOnDisk(nodes=found, gens=bundle.table(GENS_FILE)["gen"].tobytes(), **facts)
    except (OSError, KeyError, IndexError, TypeError, ValueError) as error:
        raise UserError(f"{bundle.path}: what was found on the cache device is damaged: {error!r}") from None


def events_of(bundle: Bundle) -> list[Event]:
    """Return the rows; UserError when columns are missing, or a kind is unknown."""
    table = bundle.table(EVENTS_FILE)
    if missing := set(Event._fields) - table.keys():
        raise UserError(f"{bundle.path / EVENTS_FILE}: no column {min(missing)}: record the case again")
    if unknown := set(np.unique(table["kind"]).tolist()) - {int(kind) for kind in Kind}:
        raise UserError(
            f"{bundle.path / EVENTS_FILE}: events of unknown kind {min(unknown)}: use the iodiff that made it"
        )
    return list(map(Event, *(table[name].tolist() for name in Event._fields)))


def _bkey(high: int, low: int, ptr: int) -> Bkey:
    return Bkey(high, low, [ptr] if high >> 60 & 7 else [])


def _words(k: Bkey) -> tuple[int, int, int]:
    return k.high, k.low, k.ptr[0] if k.ptr else 0


def _table(rows: Iterable[Sequence[int]], names: Sequence[str]) -> Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return {name: np.array(column, np.uint64) for name, column in zip(names, columns, strict=True)}
