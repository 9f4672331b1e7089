# SPDX-License-Identifier: GPL-2.0-or-later
"""What a replayed record says of a set against what was on its cache device after it was stopped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.bcache.record import NodeOnDisk, SetOnDisk
from harness.judge.bcache_replay import Replay
from reference.bcache.bkey import Bkey
from reference.bcache.bset import merged_extent
from reference.bcache.geometry import Geometry
from reference.bcache.live_map import LiveMap
from reference.bcache.node import Node

__all__ = ["DISK_CHECKS", "compare_with_disk"]

TREE = "nodes on disk"
SETS = "sets on disk"
LIVE = "live keys"
GENS = "gens on disk"
FINDINGS = "checker"
DISK_CHECKS = (TREE, SETS, LIVE, GENS, FINDINGS)
"""The checks of what is on disk."""


def compare_with_disk(replay: Replay, found: SetOnDisk) -> None:
    """Compare everything; Disagreement at the first difference."""
    on_disk = {node.key.ptr[0]: node for node in found.nodes}
    replay.compare(TREE, sorted(replay.nodes), sorted(on_disk))
    for ptr, node in replay.nodes.items():
        _compare_node(replay, node, on_disk[ptr])
    _compare_live(replay, found)
    _compare_gens(replay, found)
    replay.compare(FINDINGS, [], list(found.findings))


def _compare_node(replay: Replay, node: Node, found: NodeOnDisk) -> None:
    replay.compare(TREE, (node.level, node.key.position), (found.level, found.key.position))
    replay.compare(SETS, len(node.on_disk), len(found.bsets))
    for number, (model, kernel) in enumerate(zip(node.on_disk, found.bsets, strict=True)):
        differing = next((pair for pair in zip(model, kernel, strict=False) if pair[0] != pair[1]), None)
        where = f"set {number} of {node}: "
        if differing:
            replay.compare(SETS, f"{where}{differing[0]}", f"{where}{differing[1]}")
        replay.compare(SETS, f"{where}{len(model)} keys", f"{where}{len(kernel)} keys")


def _compare_live(replay: Replay, found: SetOnDisk) -> None:
    """The extents that are there, in memory by the model and on disk, however they are cut."""
    geometry = replay.c.geometry
    leaves = sorted((n for n in replay.nodes.values() if not n.level), key=lambda n: n.key.position)
    model = _joined(geometry, (k for n in leaves for k in n.keys.filtered(n.ops.key_bad)))
    kernel = _joined(geometry, (k for n in leaves for k in _on_disk(found, n)))
    for ours, theirs in zip(model, kernel, strict=False):
        replay.compare(LIVE, ours, theirs)
    replay.compare(LIVE, f"{len(model)} extents", f"{len(kernel)} extents")


def _on_disk(found: SetOnDisk, node: Node) -> Iterator[Bkey]:
    """Yield the extents of a leaf on disk, those of later sets over those of earlier ones."""
    live = LiveMap()
    for bset in next(n for n in found.nodes if n.key.ptr[0] == node.key.ptr[0]).bsets:
        for k in bset:
            live.insert(k.copy())
    return (k for k in live if not node.ops.key_bad(k))


def _joined(geometry: Geometry, keys: Iterator[Bkey]) -> Sequence[Bkey]:
    joined: list[Bkey] = []
    for k in keys:
        last = joined[-1] if joined else None
        touches = last and last.header == k.header and last.position == k.start_position
        right = k.copy()
        if not (last and touches and merged_extent(geometry, last, right)):
            joined.append(right)
    return joined


def _compare_gens(replay: Replay, found: SetOnDisk) -> None:
    """The prio sets have each gen as it was while they were written: nobody may use a bucket before."""
    if replay.written_gens is None:
        return
    begun, finished = replay.written_gens
    for bucket in range(found.first_bucket, found.nbuckets):
        low, high, gen = begun[bucket], finished[bucket], found.gens[bucket]
        within = gen - low & 0xFF <= high - low & 0xFF
        expected = f"bucket {bucket}: gen {low}" + (f" to {high}" if high != low else "")
        replay.compare(GENS, expected, expected if within else f"bucket {bucket}: gen {gen}")
