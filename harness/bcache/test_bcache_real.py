# SPDX-License-Identifier: GPL-2.0-or-later
"""Images of real kernels: taken while a set was at work, and after it was stopped."""

from __future__ import annotations

import pytest

from harness.bcache.check import CheckedCache
from harness.bcache.testing import checked, fixture

Where = dict[tuple[int, int], int]


def dirty(found: CheckedCache) -> Where:
    """Return where in the cache each dirty sector is."""
    return {(k.inode, k.start + n): k.ptr[0] + (n << 8) for k in found.live if k.dirty for n in range(k.size)}


def without_journal(found: CheckedCache) -> int:
    """Return how many sectors of the tree alone are dirty."""
    assert found.tree
    assert found.buckets
    return sum(
        k.size for node in found.tree.nodes if not node.level for k, _, _ in node.numbered_keys() if k.dirty
    )


def test_the_journal_brings_back_what_the_nodes_did_not_have_yet() -> None:
    running, stopped = checked(fixture("6.12-wb4k-running")), checked(fixture("6.12-wb4k-stopped"))
    assert running.replayed == stopped.replayed == 81
    assert dirty(running) == dirty(stopped)
    assert len(dirty(running)) == 11_848
    # Some of it was in the journal only.
    assert without_journal(running) < without_journal(stopped)


@pytest.mark.parametrize(
    ("name", "level", "nodes", "extents"),
    [
        ("6.12-wb4k-running", 1, 18, 1594),
        ("6.12-wb4k-stopped", 1, 18, 1627),
        ("6.12-deep-running", 2, 170, 14_223),
        ("sid-wb4k-running", 1, 17, 1657),
    ],
)
def test_what_kernels_wrote_has_no_findings(name: str, level: int, nodes: int, extents: int) -> None:
    found = checked(fixture(name))
    assert found.findings == []
    assert found.journal
    assert found.tree
    assert found.journal.newest.btree_level == level
    assert (len(found.tree.nodes), len(found.live)) == (nodes, extents)
