# SPDX-License-Identifier: GPL-2.0-or-later
"""A checked cache device in a few lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from uuid import UUID

from harness.bcache.buckets import Buckets, Use
from harness.bcache.check import CheckedCache
from harness.bcache.findings import Finding

__all__ = ["finding_lines", "summary_lines"]

SHOWN_OF_EACH = 10
KIB_SECTORS = 2


def summary_lines(checked: CheckedCache) -> Iterator[str]:
    """Yield what the device is and holds."""
    sb = checked.sb
    yield (
        f"cache device of set {UUID(bytes=sb.set_uuid)}, version {sb.version}, {sb.nbuckets} buckets of "
        f"{sb.bucket_size // KIB_SECTORS} KiB, blocks of {sb.block_size * 512} bytes"
    )
    if checked.journal:
        entries = checked.journal.entries
        yield (
            f"journal: entries {entries[0].jset.seq} to {entries[-1].jset.seq}, "
            f"{checked.replayed} keys to be replayed"
        )
    if checked.tree:
        levels = Counter(node.level for node in checked.tree.nodes)
        shape = ", ".join(f"{levels[level]} of level {level}" for level in sorted(levels, reverse=True))
        yield f"btree: {len(checked.tree.nodes)} nodes ({shape}), {checked.tree.keys} keys"
    if checked.buckets:
        yield f"buckets: {_uses(checked.buckets, sb.nbuckets)}"
    if checked.tree:
        sectors = sum(k.size for k in checked.live)
        dirty = sum(k.size for k in checked.live if k.dirty)
        yield (
            f"data: {len(checked.live)} extents, {sectors // KIB_SECTORS} KiB cached, "
            f"{dirty // KIB_SECTORS} KiB of them dirty"
        )


def _uses(buckets: Buckets, nbuckets: int) -> str:
    uses = Counter(buckets.uses.values())
    parts = [f"{uses[use]} {use.value}" for use in Use if uses[use]]
    return ", ".join([*parts, f"{nbuckets - sum(uses.values())} with nothing"])


def finding_lines(findings: list[Finding], everything: bool = False) -> Iterator[str]:
    """Yield the findings, of each kind the first ones and how many more there are."""
    counts: Counter[int] = Counter()
    for finding in findings:
        counts[finding.invariant] += 1
        if everything or counts[finding.invariant] <= SHOWN_OF_EACH:
            yield str(finding)
    for finding in {finding.invariant: finding for finding in findings}.values():
        more = counts[finding.invariant] - SHOWN_OF_EACH
        if more > 0 and not everything:
            yield f"and {more} more of {int(finding.invariant)} {finding.invariant.name} (--all shows them)"
