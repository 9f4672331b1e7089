# SPDX-License-Identifier: GPL-2.0-or-later
"""A node of the btree: what is in memory of it, what was written, and its replacement by a new one."""

from __future__ import annotations

from reference.bcache.alloc import bch_bucket_alloc_set, bch_bucket_free, bch_inc_gen
from reference.bcache.bkey import ZERO_POSITION, Bkey, make_ptr, ptr_dev, ptr_offset
from reference.bcache.bset import Bset, BtreeKeys, set_blocks
from reference.bcache.extents import ExtentOps, PointerOps
from reference.bcache.geometry import PAGE_BYTES
from reference.bcache.structs import CacheSet, Reserve

__all__ = [
    "KEY_MAX_U64S",
    "NoBucketError",
    "Node",
    "bch_btree_init_next",
    "bch_btree_leaf_dirty",
    "bch_btree_node_alloc",
    "bch_btree_node_write",
    "bch_btree_set_root",
    "btree_node_alloc_replacement",
    "btree_node_free",
    "btree_node_write",
    "make_btree_freeing_key",
]

KEY_MAX_U64S = 8


class NoBucketError(Exception):
    """There is no bucket for a new node (-EAGAIN)."""


class Node:
    """`struct btree`, with what was written to its bucket in place of an I/O."""

    def __init__(self, c: CacheSet, key: Bkey, level: int, parent: Node | None) -> None:
        self.c = c
        self.key = key
        self.level = level
        self.parent = parent
        self.ops: ExtentOps | PointerOps = PointerOps(c) if level else ExtentOps(c)
        self.keys = BtreeKeys(c.geometry, self.ops, c.geometry.btree_pages)
        self.keys.init_next(0)
        self.seq = c.next_number()
        self.written = 0
        """Blocks."""
        self.dirty = False
        self.on_disk: list[list[Bkey]] = []
        """The bsets that were written, oldest first."""

    @property
    def btree_blocks(self) -> int:
        """`btree_blocks`: how many blocks it has."""
        return self.key.size // self.c.geometry.block_size

    def blocks_of(self, bset: Bset) -> int:
        """`set_blocks`."""
        return set_blocks(bset.u64s, self.c.geometry)

    @property
    def insert_u64s_remaining(self) -> int:
        """`insert_u64s_remaining`: room for keys; an insert into the middle of an extent makes one more."""
        return max(self.keys.u64s_remaining - (0 if self.level else KEY_MAX_U64S), 0)

    def __repr__(self) -> str:
        bucket = self.c.geometry.bucket_of(self.key.ptr[0])
        return f"node {bucket} (level {self.level}, up to {self.key.position})"


def bch_btree_init_next(b: Node) -> None:
    """Sort what was written, as far as it is worth it, and go on in a new set, if there is room."""
    if b.level and b.keys.nsets:
        b.keys.sort_partial(0)
    else:
        b.keys.sort_lazy()
    if b.written < b.btree_blocks:
        b.keys.init_next(b.written)


def btree_node_write(b: Node) -> None:
    """`__bch_btree_node_write`: write the last set."""
    last = b.keys.last
    assert b.written < b.btree_blocks
    assert not b.written or last.data
    b.dirty = False
    b.on_disk.append([k.copy() for k in last.data])
    b.written += b.blocks_of(last)
    if isinstance(b.ops, PointerOps):
        # btree_complete_write: the gens of the children that it frees may be written now.
        b.c.prio_blocked -= b.ops.prio_blocked
        b.ops.prio_blocked = 0


def bch_btree_node_write(b: Node) -> None:
    """Write the last set, and go on in a new one."""
    btree_node_write(b)
    bch_btree_init_next(b)


def bch_btree_leaf_dirty(b: Node) -> None:
    """Let keys of a leaf be written some time, or at once when they are many."""
    assert b.written
    b.dirty = True
    if b.keys.last.set_bytes > PAGE_BYTES - 48:
        bch_btree_node_write(b)


def bch_btree_node_alloc(c: CacheSet, level: int, parent: Node | None) -> Node:
    """Make an empty node in a fresh bucket; NoBucketError when there is none."""
    k = bch_bucket_alloc_set(c, Reserve.BTREE)
    if k is None:
        raise NoBucketError
    c.bkey_put(k)
    k.size = c.geometry.btree_pages * PAGE_BYTES // 512
    node = Node(c, k, level, parent)
    c.nodes[k.ptr[0]] = node
    return node


def btree_node_alloc_replacement(b: Node) -> Node:
    """Make a node with what is still of use of `b`: no stale keys, none without pointers, no check keys."""
    n = bch_btree_node_alloc(b.c, b.level, b.parent)
    b.keys.sort_into(n.keys)
    n.key.position = b.key.position
    return n


def make_btree_freeing_key(b: Node) -> Bkey:
    """Return the key that tells the parent that `b` is gone: no place, the next gen of its bucket."""
    c = b.c
    c.prio_blocked += 1
    k = b.key.copy()
    k.position = ZERO_POSITION
    k.ptr = [
        make_ptr(bch_inc_gen(c, c.cache.bucket_of(ptr)), ptr_offset(ptr), ptr_dev(ptr)) for ptr in b.key.ptr
    ]
    return k


def btree_node_free(b: Node) -> None:
    """Give back the bucket of a node that nothing points to any more."""
    assert b is not b.c.root
    b.dirty = False
    del b.c.nodes[b.key.ptr[0]]
    bch_bucket_free(b.c, b.key)


def bch_btree_set_root(b: Node) -> None:
    """Make `b` the root."""
    assert b.written
    b.c.root = b
