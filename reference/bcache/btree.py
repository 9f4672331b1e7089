# SPDX-License-Identifier: GPL-2.0-or-later
"""Inserting into the tree: finding leaves, splitting what is full, telling the parents (btree.c).

One task works alone: locks are only seen where a split makes it begin again from the root.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from reference.bcache.bkey import (
    PTR_CHECK_DEV,
    Bkey,
    Position,
    bch_cut_back,
    bch_cut_front,
    key,
    make_ptr,
    max_key,
)
from reference.bcache.bset import InsertStatus
from reference.bcache.node import (
    Node,
    bch_btree_init_next,
    bch_btree_leaf_dirty,
    bch_btree_node_alloc,
    bch_btree_node_write,
    bch_btree_set_root,
    btree_node_alloc_replacement,
    btree_node_free,
    make_btree_freeing_key,
)
from reference.bcache.structs import CacheSet, Reserve

__all__ = [
    "BtreeOp",
    "Decision",
    "Outcome",
    "bch_btree_insert",
    "bch_btree_insert_check_key",
    "bch_btree_insert_node",
    "btree_check_reserve",
    "child",
    "children",
    "divide",
    "leaf_for",
]


CHECK_STEP = 0x9E3779B97F4A7C15


class Outcome(Enum):
    """What a function of the btree returns."""

    DONE = "0"
    RETRY = "-EINTR"
    """Begin again from the root, with the locks that are needed, once there are buckets."""
    COLLISION = "-ESRCH"
    """Nothing was inserted: the key to be replaced was not there."""


@dataclass(frozen=True)
class Decision:
    """What became of one key in one node, for who wants to compare it with a kernel."""

    node: Node
    key: Bkey
    """As it was before it was inserted."""
    status: InsertStatus


@dataclass
class BtreeOp:
    """`struct btree_op`, with an ear for what happens."""

    lock: int = 0
    insert_collision: bool = False
    decided: Callable[[Decision], None] = lambda _decision: None
    split: Callable[[Node, bool], None] = lambda _node, _split: None
    """Told of each node that was replaced in `btree_split`, and whether by two."""


def children(b: Node, after: Position | None = None) -> list[Bkey]:
    """Return the pointers of an inner node that lead to nodes, in order: those after `after` only."""
    return list(b.keys.filtered(b.ops.key_bad, after))


def child(b: Node, k: Bkey) -> Node:
    """`bch_btree_node_get`: the node that a key of `b` points to."""
    node = b.c.nodes[k.ptr[0]]
    assert node.level == b.level - 1
    node.parent = b
    return node


def leaf_for(c: CacheSet, position: Position) -> Node:
    """Return the leaf that holds what comes after `position` (`bch_btree_map_leaf_nodes`)."""
    b = c.root
    assert b is not None
    b.parent = None
    while b.level:
        b = child(b, next(b.keys.filtered(b.ops.key_bad, position)))
    return b


def btree_check_reserve(b: Node) -> bool:
    """Whether there are buckets for a split of `b` and of all above it."""
    c = b.c
    assert c.root is not None
    return len(c.cache.free[Reserve.BTREE]) >= (c.root.level - b.level) * 2 + 1


def _btree_insert_key(b: Node, op: BtreeOp, k: Bkey, replace_key: Bkey | None) -> bool:
    assert k.position <= b.key.position
    before = k.copy()
    status = b.keys.insert_key(k, replace_key)
    op.decided(Decision(b, before, status))
    return status is not InsertStatus.NO_INSERT


def _insert_keys(b: Node, op: BtreeOp, keys: list[Bkey], replace_key: Bkey | None) -> bool:
    """`bch_btree_insert_keys`: as many as fit and belong here; returns whether one was inserted."""
    inserted = False
    while keys:
        k = keys[0]
        if k.u64s > b.insert_u64s_remaining:
            break
        if k.position <= b.key.position:
            if not b.level:
                b.c.bkey_put(k)
            inserted |= _btree_insert_key(b, op, k, replace_key)
            del keys[0]
        elif k.start_position < b.key.position:
            part = k.copy()
            bch_cut_back(b.key.position, part)
            bch_cut_front(b.key.position, k)
            inserted |= _btree_insert_key(b, op, part, replace_key)
            break
        else:
            break
    if not inserted:
        op.insert_collision = True
    assert not (keys and b.level)
    return inserted


def bch_btree_insert_node(b: Node, op: BtreeOp, keys: list[Bkey], replace_key: Bkey | None = None) -> Outcome:
    """Insert what belongs into `b`, splitting it when there is no room; what was inserted leaves `keys`."""
    c = b.c
    assert c.root is not None
    if b.keys.last.block != b.written and b.keys.last_set_unwritten:
        bch_btree_init_next(b)
    if sum(k.u64s for k in keys) > b.insert_u64s_remaining:
        if op.lock <= c.root.level:
            op.lock = c.root.level + 1
            return Outcome.RETRY
        outcome = _btree_split(b, op, keys, replace_key)
        return Outcome.RETRY if keys and outcome is Outcome.DONE else outcome
    if _insert_keys(b, op, keys, replace_key):
        if b.level:
            bch_btree_node_write(b)
        else:
            bch_btree_leaf_dirty(b)
    return Outcome.DONE


def _btree_split(b: Node, op: BtreeOp, keys: list[Bkey], replace_key: Bkey | None) -> Outcome:
    """`btree_split`: replace `b` by a new node, or by two when it stays more than 4/5 full."""
    if not btree_check_reserve(b) and not b.level:
        return Outcome.RETRY
    n1 = btree_node_alloc_replacement(b)
    parent_keys: list[Bkey] = []
    new_root: Node | None = None
    split = n1.blocks_of(n1.keys.sets[0]) > b.btree_blocks * 4 // 5
    op.split(b, split)
    if split:
        n2 = bch_btree_node_alloc(b.c, b.level, b.parent)
        if b.parent is None:
            new_root = bch_btree_node_alloc(b.c, b.level + 1, None)
        _insert_keys(n1, op, keys, replace_key)
        divide(n1, n2, b.key.position)
        parent_keys.append(n2.key.copy())
        bch_btree_node_write(n2)
    else:
        _insert_keys(n1, op, keys, replace_key)
    parent_keys.append(n1.key.copy())
    bch_btree_node_write(n1)
    if new_root is not None:
        new_root.key.position = max_key().position
        _insert_keys(new_root, op, parent_keys, None)
        bch_btree_node_write(new_root)
        bch_btree_set_root(new_root)
    elif b.parent is None:
        bch_btree_set_root(n1)
    else:
        parent_keys.append(make_btree_freeing_key(b))
        bch_btree_insert_node(b.parent, op, parent_keys)
        assert not parent_keys
    btree_node_free(b)
    return Outcome.DONE


def divide(n1: Node, n2: Node, end: Position) -> None:
    """Leave the first 3/5 of the keys of `n1`, and the key that reaches over that, and move the rest."""
    first = n1.keys.sets[0]
    limit = first.u64s * 3 // 5
    u64s = index = 0
    while u64s < limit:
        u64s += first.data[index].u64s
        index += 1
    n1.key.position = first.data[index].position
    n2.keys.sets[0].replace(first.data[index + 1 :])
    first.replace(first.data[: index + 1])
    n2.key.position = end


def bch_btree_insert(
    c: CacheSet,
    keys: list[Bkey],
    replace_key: Bkey | None = None,
    op: BtreeOp | None = None,
    wait: Callable[[], None] = lambda: None,
) -> Outcome:
    """Insert keys into the leaves where they belong; a key may be cut and go into several.

    `wait` is called when it has to begin again: for want of buckets, or to take more locks. COLLISION when
    one was refused.
    """
    op = op or BtreeOp()
    while keys:
        op.lock = 0
        # Not where the rest of a key that was cut begins: the kernel takes it once, and may find a leaf where
        # nothing is to be inserted, which counts as a collision.
        start = keys[0].start_position
        while bch_btree_insert_node(leaf_for(c, start), op, keys, replace_key) is Outcome.RETRY and keys:
            wait()
    return Outcome.COLLISION if op.insert_collision else Outcome.DONE


def bch_btree_insert_check_key(c: CacheSet, inode: int, offset: int, size: int, op: BtreeOp) -> Bkey | None:
    """Insert a key that says that somebody is about to read these sectors, and return it to be replaced.

    Whoever writes them meanwhile overwrites it, and then the data that were read are not inserted. None when
    the leaf was split for it: then the caller searches again (`cached_dev_cache_miss`, request.c).
    """
    # Far from those of other check keys: neighbours must not look like parts of one key.
    number = c.next_number() * CHECK_STEP & (1 << 51) - 1
    check_key = key(inode, offset, size, [make_ptr(0, 0, PTR_CHECK_DEV) | number])
    leaf = leaf_for(c, check_key.start_position)
    assert check_key.position <= leaf.key.position, "a miss does not reach over its leaf"
    if bch_btree_insert_node(leaf, op, [check_key.copy()]) is Outcome.DONE:
        return check_key
    return None
