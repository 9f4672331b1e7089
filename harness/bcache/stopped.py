# SPDX-License-Identifier: GPL-2.0-or-later
"""A stopped set's cache device, read for a bundle."""

from __future__ import annotations

from pathlib import Path

from harness.bcache.buckets import read_prios
from harness.bcache.check import check_cache
from harness.bcache.device import File, cache_superblock
from harness.bcache.findings import Findings
from harness.bcache.record import NodeOnDisk, SetOnDisk
from harness.errors import InfrastructureError

__all__ = ["set_on_disk"]


def set_on_disk(cache: Path) -> SetOnDisk:
    """Return the tree, the gens and all findings; InfrastructureError when nothing can be made of it."""
    with File(cache) as device:
        sb, complaint = cache_superblock(device, str(cache))
        checked = check_cache(device, sb, complaint)
        if checked.tree is None or checked.journal is None:
            raise InfrastructureError(f"no tree can be read from {cache}: {checked.findings}")
        # The check lets buckets have the gens of freed nodes: these are what the prio sets themselves say.
        prios = read_prios(device, sb, checked.journal.newest.prio_bucket[sb.nr_this_dev], Findings())
    nodes = [
        NodeOnDisk(node.key, node.level, [bset.keys for bset in node.bsets]) for node in checked.tree.nodes
    ]
    return SetOnDisk(
        bucket_size=sb.bucket_size,
        block_size=sb.block_size,
        nbuckets=sb.nbuckets,
        first_bucket=sb.first_bucket,
        nodes=nodes,
        gens=bytes(prios.gens),
        findings=[str(finding) for finding in checked.findings if finding.is_damage],
    )
