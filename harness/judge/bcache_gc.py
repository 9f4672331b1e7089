# SPDX-License-Identifier: GPL-2.0-or-later
"""Garbage collections of a real set against the model: what is counted, rewritten, coalesced; pauses."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from harness.bcache.record import Event, Kind
from harness.judge.bcache_replay import Replay, errno
from harness.judge.bcache_tasks import Disagreement
from reference.bcache.bset import set_blocks
from reference.bcache.gc import STALE_MAX, btree_gc_min_nodes, btree_gc_sleep_ms, default_blocks
from reference.bcache.node import Node

__all__ = ["GC_CHECKS", "Collections"]

NODES = "nodes collected"
USE = "keys counted by collections"
WINDOWS = "decisions to coalesce"
REWRITTEN = "decisions to rewrite"
PACING = "pauses of collections"
GC_CHECKS = (NODES, USE, WINDOWS, REWRITTEN, PACING)
"""The checks of garbage collections."""
EINTR = 4


@dataclass
class Collections:
    """All collections of a record; `step` takes a row before the replay does."""

    replay: Replay
    counts: Counter[str] = field(default_factory=Counter)
    nodes: int = 0
    """Nodes marked in this collection, less those that were coalesced away."""
    nodes_pre: int = 0
    """How many there were at the last pause for their number."""
    use: tuple[int, int, int] = (0, 0, 0)
    """Keys, their words and sectors, of the nodes marked."""
    finishing: bool = False
    """All nodes were marked: the next statistics are those of the collection."""
    pausing: bool = False
    """A pause has begun, and it is not known yet why."""
    window: int | None = None
    """The parent whose children were looked at last, None where the walk began anew since."""
    marked: tuple[Node, bool, bool] | None = None
    """The node marked last: whether it is worth rewriting, and whether there were buckets for it."""
    fits: tuple[bool, bool] | None = None
    """Of the window: whether it is to be coalesced, and whether there are buckets for it."""
    changes: int = 0
    """How many gens had changed at the collector's last row."""

    def step(self, e: Event) -> None:
        """Take a row; Disagreement when the model says otherwise."""
        kind = Kind(e.kind)
        if kind is Kind.GC_START:
            self._start(e)
        if e.pid != self.replay.collector or (kind is Kind.GC_STATS and not self.finishing):
            return
        if self.marked:
            self._rewritten(e, *self.marked)
        match kind:
            case Kind.GC_MARK:
                self._mark(e)
            case Kind.GC_COALESCE:
                self._window(e)
            case Kind.GC_COALESCED:
                self._coalesced(e)
            case Kind.GC_PAUSE:
                self._pause(e)
            case Kind.GC_FINISH:
                self.finishing = True
            case Kind.GC_STATS:
                self._finish(e)
        self.changes = len(self.replay.changes)

    @property
    def _gens_changed(self) -> bool:
        """Whether a gen has changed since the collector's last row: what it then saw is open."""
        return len(self.replay.changes) != self.changes

    def _start(self, e: Event) -> None:
        self.replay.collector = e.pid
        self.nodes, self.nodes_pre, self.use = 0, 0, (0, 0, 0)
        self.finishing, self.pausing, self.window, self.marked = False, False, None, None
        self.counts["garbage collections"] += 1

    def _mark(self, e: Event) -> None:
        self.replay.compare(NODES, self.nodes, e.k0)
        self._compare_use((e.k2, e.old0, e.old1))
        if self.pausing or e.k1 != self.nodes_pre:
            self._why_paused(e.k1)
        node = self.replay.node(e.node)
        root = self.replay.root
        assert root is not None
        if node is root:
            self.window = None
        self.nodes += 1
        self.counts["nodes marked"] += 1
        worth, use = _look(node)
        self.use = (e.k2 + use[0], e.old0 + use[1], e.old1 + use[2])
        # Of the root nobody asks whether there is more than the one bucket.
        needed = 1 if node is root else (root.level - node.level - 1) * 2 + 1
        self.marked = node, worth, e.reserve >= needed

    def _compare_use(self, kernel: tuple[int, int, int]) -> None:
        if self.use != kernel and self._gens_changed:
            self.counts["keys counted while gens changed"] += 1
            return
        self.replay.compare(USE, self.use, kernel)

    def _rewritten(self, e: Event, node: Node, worth: bool, buckets: bool) -> None:
        """The collector's next row after a mark tells whether the node is replaced."""
        if e.kind == Kind.NEW_SET and e.value == 0:
            # The node that is to replace it, or a child that is read.
            return
        self.marked = None
        replaced = e.kind == Kind.SORT_INTO and self.replay.nodes.get(e.node) is node
        if replaced:
            self.window = None
            self.counts["nodes rewritten"] += 1
        if worth != replaced and (self._gens_changed or (worth and not buckets)):
            return
        self.replay.compare(REWRITTEN, worth, replaced)

    def _window(self, e: Event) -> None:
        if self.window == e.node:
            self._compare_pace()
        self.window = e.node
        children = [self.replay.node(ptr) for ptr in (e.k0, e.k1, e.k2, e.old0) if ptr]
        words = [e.old1 & 0xFFFFFFFF, e.old1 >> 32, e.old2 & 0xFFFFFFFF, e.old2 >> 32][: len(children)]
        if not self._gens_changed:
            self.replay.compare(WINDOWS, _good_words(children[0]), words[0])
        c = self.replay.c
        blocks = default_blocks(c) * 2 // 3
        fits = len(words) > 1 and set_blocks(sum(words), c.geometry) <= blocks * (len(words) - 1)
        parent = self.replay.node(e.node)
        self.fits = fits, e.reserve >= (e.value - parent.level) * 2 + 1

    def _coalesced(self, e: Event) -> None:
        assert self.fits is not None
        fits, buckets = self.fits
        done = errno(e.value) == EINTR
        if done:
            self.nodes -= 1
            self.window = None
        merge = self.replay.task(e).coalesce
        if fits and not done and (not buckets or (merge and merge.new)):
            self.counts["windows not coalesced for want of buckets or room"] += 1
            return
        self.replay.compare(WINDOWS, fits, done)

    def _compare_pace(self) -> None:
        """Where no pause was made between two children, fewer nodes were looked at than it takes for one."""
        c = self.replay.c
        if c.behaviour.gc_pauses_for_searches_only:
            # Whether a search was in flight at that moment, nothing tells.
            return
        least = btree_gc_min_nodes(c)
        if self.nodes >= self.nodes_pre + least:
            raise Disagreement(
                PACING, f"a pause after {least} nodes", f"none after {self.nodes - self.nodes_pre}"
            )
        self.replay.compared[PACING] += 1

    def _pause(self, e: Event) -> None:
        self.pausing, self.window = True, None
        c = self.replay.c
        c.bucket_wait_cnt = e.k2
        ticks = -(-btree_gc_sleep_ms(c) * self.replay.found.ticks_per_s // 1000)
        self.counts["pauses"] += 1
        if self.replay.found.ticks_per_s:
            self.replay.compare(PACING, f"{ticks} jiffies", f"{e.value} jiffies")

    def _why_paused(self, nodes_pre: int) -> None:
        """The number of nodes at the last pause is only noted where that was the reason for it."""
        c = self.replay.c
        if not self.pausing:
            raise Disagreement(PACING, "no pause was made", f"one was, at {nodes_pre} nodes")
        self.pausing = False
        if nodes_pre == self.nodes_pre:
            self.counts["pauses to let others run"] += 1
            return
        least = btree_gc_min_nodes(c)
        if nodes_pre < self.nodes_pre + least:
            raise Disagreement(
                PACING, f"no pause before {least} nodes", f"one after {nodes_pre - self.nodes_pre}"
            )
        self.replay.compare(PACING, self.nodes, nodes_pre)
        self.nodes_pre = nodes_pre

    def _finish(self, e: Event) -> None:
        self.replay.compare(NODES, self.nodes, e.k0)
        self._compare_use((e.k2, e.k1 // 8, e.old0 >> 9))
        self.replay.c.gc_stats.nodes = e.k0
        self.replay.collector = 0


def _look(node: Node) -> tuple[bool, tuple[int, int, int]]:
    """`btree_gc_mark_node` without the marks: whether a node is worth rewriting, and its keys."""
    stale = keys = 0
    good: list[tuple[int, int]] = []
    for k in node.keys.filtered(node.ops.key_invalid):
        keys += 1
        if k.offset or k.inode:
            geometry = node.c.geometry
            behind = (node.c.ptr_stale(ptr) for ptr in k.ptr if geometry.available(ptr))
            stale = max(stale, max(behind, default=0))
        if not node.ops.key_bad(k):
            good.append((k.u64s, k.size))
    worth = stale > STALE_MAX or (keys - len(good)) * 2 > keys
    return worth, (len(good), sum(words for words, _ in good), sum(size for _, size in good))


def _good_words(node: Node) -> int:
    return sum(k.u64s for k in node.keys.filtered(node.ops.key_bad))
