# SPDX-License-Identifier: GPL-2.0-or-later
"""The btree on the device, walked from its root: every node is read once, every key is checked."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.bcache.buckets import Buckets, Use
from harness.bcache.device import Device
from harness.bcache.findings import Findings, Invariant, Place
from harness.bcache.node import Node, is_freeing, read_node
from reference.bcache.bkey import ZERO_POSITION, Bkey, Position
from reference.bcache.live_map import LiveMap

__all__ = ["Tree", "walk"]


@dataclass
class Tree:
    """What a walk found."""

    live: LiveMap = field(default_factory=LiveMap)
    """The extents of the leaves, stale ones too, newest set first in their right."""
    nodes: list[Node] = field(default_factory=list)
    """Parents before children, left before right."""
    keys: int = 0
    whole: bool = True
    """Whether no part was left out because of damage."""


def walk(
    device: Device, buckets: Buckets, set_magic: int, root: Bkey, level: int, findings: Findings
) -> Tree:
    """Walk the tree below a valid `root`. Damage can make it see less, but never go round or on for ever:
    each bucket is read once.
    """
    walker = _Walker(device, buckets, set_magic, findings)
    waiting: list[tuple[Bkey, int, Position]] = [(root, level, ZERO_POSITION)]
    while waiting:
        key, level, begin = waiting.pop()
        waiting += reversed(walker.visit(key, level, begin))
    return walker.tree


class _Walker:
    def __init__(self, device: Device, buckets: Buckets, set_magic: int, findings: Findings) -> None:
        self.device = device
        self.buckets = buckets
        self.geometry = buckets.geometry
        self.set_magic = set_magic
        self.findings = findings
        self.tree = Tree()

    def visit(self, key: Bkey, level: int, begin: Position) -> list[tuple[Bkey, int, Position]]:
        """Read the node at `key`, which holds what is after `begin`; returns what to visit below it."""
        bucket = self.geometry.bucket_of(key.ptr[0])
        if self.buckets.uses.get(bucket) is Use.NODE:
            place = Place("node", bucket)
            self.findings.add(Invariant.ONE_PARENT, place, f"a second pointer to it: {key}")
            return []
        if not self.buckets.use(bucket, Use.NODE, Place("node", bucket), self.findings):
            self.tree.whole = False
            return []
        node = read_node(self.device, self.geometry, self.set_magic, key, level, self.findings)
        self.tree.nodes.append(node)
        self.tree.whole &= node.whole
        return self._children(node, begin) if level else self._extents(node, begin)

    def _children(self, node: Node, begin: Position) -> list[tuple[Bkey, int, Position]]:
        children = self._valid_children(node)
        below: list[tuple[Bkey, int, Position]] = []
        for k, place in children:
            if below and k.position == begin:
                self.findings.add(Invariant.DUPLICATE_CHILD, place, f"{k} ends where another child does")
            below.append((k, node.level - 1, begin))
            begin = k.position
        if node.whole and (not children or begin != node.key.position):
            last = f"its last child is {children[-1][0]}" if children else "it has no child"
            self.findings.add(Invariant.LAST_CHILD, node.place(), f"{last}, its own key {node.key}")
        return below

    def _valid_children(self, node: Node) -> list[tuple[Bkey, Place]]:
        """Return the pointers of an inner node that lead to nodes, in order: `bch_btree_ptr_bad`."""
        valid = []
        for k, number, index in node.numbered_keys():
            self.tree.keys += 1
            place = node.place(number, index)
            if bad := self.geometry.btree_ptr_status(k):
                self.findings.add(Invariant.NODE_POINTER, place, f"{k}: {bad}")
                self.tree.whole = False
                continue
            self.buckets.adopt(k, place, self.findings, is_freeing(k))
            if not is_freeing(k):
                self._check_end(k, node, place)
                valid.append((k, place))
        live = [
            (k, place)
            for k, place in valid
            if all(map(self.geometry.available, k.ptr)) and not self.buckets.stale(k)
        ]
        return sorted(live, key=lambda pair: pair[0].position)

    def _extents(self, node: Node, begin: Position) -> list[tuple[Bkey, int, Position]]:
        """Take the extents of a leaf, later sets over earlier ones: `bch_extent_sort_fixup`, extents.c."""
        live = LiveMap()
        for k, number, index in node.numbered_keys():
            self.tree.keys += 1
            if not k.size:
                continue
            place = node.place(number, index)
            if bad := self.geometry.extent_status(k):
                self.findings.add(Invariant.EXTENT, place, f"{k}: {bad}")
                continue
            if k.ptr:
                self.buckets.adopt(k, place, self.findings, False)
            self._check_end(k, node, place)
            if k.start_position < begin:
                message = f"{k} begins before {begin[0]}:{begin[1]}, where the node before ends"
                self.findings.add(Invariant.KEY_BEFORE_NODE, place, message)
            live.insert(k)
        for k in live:
            self.tree.live.insert(k)
        return []

    def _check_end(self, k: Bkey, node: Node, place: Place) -> None:
        if k.position > node.key.position:
            self.findings.add(Invariant.KEY_AFTER_NODE, place, f"{k} is after its node {node.key}")
