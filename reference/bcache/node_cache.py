# SPDX-License-Identifier: GPL-2.0-or-later
"""The cache of nodes in memory: who gets whose memory when a node is read or made (mca_*, btree.c).

Nodes are only as much as that needs: a key, the size of their memory, and why they may not be taken now.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

__all__ = ["CachedNode", "Got", "NodeCache"]

RESERVE_OF_A_LEVEL = 8
RESERVE = 16


class Got(Enum):
    """What `mca_alloc` returns besides a node."""

    THERE = "NULL"
    """It is in the cache already: look again."""
    WAIT = "-EINTR"
    """Somebody else is taking memory from cached nodes."""
    NONE = "-ENOMEM"


@dataclass(eq=False)
class CachedNode:
    """`struct btree`, as the cache sees it."""

    key: int = 0
    """Its first pointer, 0 for none."""
    order: int = -1
    """Binary logarithm of its memory in pages; -1 without memory."""
    dirty: bool = False
    locked: bool = False
    writing: bool = False
    """`io_mutex` is held: a write is on its way."""


@dataclass
class NodeCache:
    """The lists of a cache set, and the lock for taking memory from nodes in use.

    The first of a list is its newest. `memory` is how many nodes the system would still allocate.
    """

    node_order: int
    """Of the set's usual nodes: ilog2(btree_pages)."""
    root_level: int = 0
    memory: int = 1 << 30
    btree_cache: list[CachedNode] = field(default_factory=list)
    freeable: list[CachedNode] = field(default_factory=list)
    """With memory, without a node."""
    freed: list[CachedNode] = field(default_factory=list)
    """Without memory."""
    alloc_lock: str | None = None
    """`btree_cache_alloc_lock`: the task that may cannibalize."""
    used: int = 0
    """`btree_cache_used`: how many have memory."""

    def __post_init__(self) -> None:
        """`bch_btree_cache_alloc`: the reserve from the start."""
        for _ in range(self.reserve):
            node = CachedNode(order=self.node_order)
            self.freeable.insert(0, node)
            self.used += 1

    @property
    def reserve(self) -> int:
        """`mca_reserve`: so many are never given back."""
        return (self.root_level or 1) * RESERVE_OF_A_LEVEL + RESERVE

    @property
    def can_free(self) -> int:
        """`mca_can_free`."""
        return max(0, self.used - self.reserve)

    def find(self, key: int) -> CachedNode | None:
        """`mca_find`."""
        return next((node for node in self.btree_cache if node.key == key), None)

    def alloc(self, task: str, key: int, order: int) -> CachedNode | Got:
        """`mca_alloc`: memory for a node, of what was freed, of the system, or of a node that is cached."""
        if self.find(key):
            return Got.THERE
        node = next((n for n in self.freeable if self.reap(n, order, flush=False)), None)
        if node is None:
            node = next((n for n in self.freed if self.reap(n, -1, flush=False)), None)
            node = self._with_memory(node or CachedNode(), order)
        if node is None:
            found = self._cannibalize(task, order)
            if isinstance(found, Got):
                return found
            node = found
        self._move(node, self.btree_cache)
        node.key = key
        node.dirty = False
        node.locked = True
        return node

    def reap(self, node: CachedNode, order: int, *, flush: bool) -> bool:
        """`mca_reap`: lock a node if its memory may be taken, writing it first if `flush`."""
        if node.locked or node.order < order:
            return False
        if not flush and (node.dirty or node.writing):
            return False
        node.locked = True
        node.dirty = node.writing = False
        return True

    def lock(self, task: str) -> bool:
        """`mca_cannibalize_lock`: True when the task holds it."""
        if self.alloc_lock is None:
            self.alloc_lock = task
        return self.alloc_lock == task

    def unlock(self, task: str) -> None:
        """`bch_cannibalize_unlock`: of who holds it; of others it does nothing."""
        if self.alloc_lock == task:
            self.alloc_lock = None

    def free(self, node: CachedNode) -> None:
        """`mca_bucket_free`: the node is gone, its memory stays for the next."""
        assert not node.dirty
        node.key = 0
        self._move(node, self.freeable)

    def scan(self, nodes: int) -> int:
        """`bch_mca_scan`: give memory back, of the oldest first; returns of how many nodes.

        What cannot be taken counts as well. Nothing is given back while somebody cannibalizes.
        """
        if self.alloc_lock is not None:
            return 0
        nodes = min(max(nodes, 1), self.can_free)
        freed = 0
        at_first = self.used
        for tried, node in enumerate((*reversed(self.freeable), *reversed(self.btree_cache))):
            if nodes <= 0 or tried >= at_first:
                break
            if self.reap(node, 0, flush=False):
                node.key = 0
                node.order = -1
                node.locked = False
                self.used -= 1
                self._move(node, self.freed)
                freed += 1
            nodes -= 1
        return freed

    def _with_memory(self, node: CachedNode, order: int) -> CachedNode | None:
        """`mca_data_alloc`: at least as much as the set's usual nodes have."""
        if not self.memory:
            node.locked = False
            self._move(node, self.freed)
            return None
        self.memory -= 1
        self.used += 1
        node.order = max(self.node_order, order)
        return node

    def _cannibalize(self, task: str, order: int) -> CachedNode | Got:
        """`mca_cannibalize`: take a node in use, the oldest first; one that has to be written, if need be."""
        if not self.lock(task):
            return Got.WAIT
        for flush in (False, True):
            for node in reversed(self.btree_cache):
                if self.reap(node, order, flush=flush):
                    return node
        return Got.NONE

    def _move(self, node: CachedNode, target: list[CachedNode]) -> None:
        for nodes in (self.btree_cache, self.freeable, self.freed):
            if node in nodes:
                nodes.remove(node)
        target.insert(0, node)
