# SPDX-License-Identifier: GPL-2.0-or-later
"""The model of the btree and the checker of devices, written apart, agree on what is on disk."""

from __future__ import annotations

import pytest

from harness.bcache.model_image import image_of
from harness.bcache.testing import checked
from reference.bcache.bkey import key
from reference.bcache.geometry import Geometry
from reference.bcache.requests import Requests
from reference.bcache.setup import new_cache_set
from reference.bcache.testing import at_rest


@pytest.mark.parametrize("seed", range(3))
def test_what_the_model_wrote_has_no_findings_and_the_same_extents(seed: int) -> None:
    work = at_rest(seed, 400)
    found = checked(image_of(work.c, []).pack())
    assert found.findings == []
    assert found.tree
    assert len(found.tree.nodes) == len(work.c.nodes) >= 3
    there = {(k.inode, k.start + n): k.ptr[0] + (n << 8) for k in found.live for n in range(k.size)}
    cached = work.requests.cached()
    assert there == {(k.inode, k.start + n): k.ptr[0] + (n << 8) for k in cached for n in range(k.size)}
    assert sum(k.size for k in found.live if k.dirty) == sum(work.c.sectors_dirty.values())


def test_a_crash_before_leaves_are_written_is_made_good_by_the_journal() -> None:
    work = at_rest(5, 300)
    before = image_of(work.c, []).pack()
    journal = []
    for start in range(0, 400, 40):
        work.requests.settle()
        k = work.requests.data.alloc_sectors(0, start, 8)
        assert k
        journal.append(k.copy())
        work.requests.insert([k])
    journal.append(key(0, 36, 20))
    work.requests.discard(0, 16, 20)
    image = image_of(work.c, journal)
    for bucket, node in image.nodes.items():
        assert node.bsets, bucket
    found = checked(image.pack())
    assert found.findings == []
    there = {(k.inode, k.start + n): k.ptr[0] + (n << 8) for k in found.live for n in range(k.size)}
    cached = work.requests.cached()
    assert there == {(k.inode, k.start + n): k.ptr[0] + (n << 8) for k in cached for n in range(k.size)}
    assert checked(before).live != found.live


def test_a_tree_of_two_levels_of_inner_nodes() -> None:
    geometry = Geometry(bucket_size=8, block_size=1, nbuckets=4096, first_bucket=2)
    requests = Requests(*new_cache_set(geometry))
    # In ascending order leaves stay at three fifths.
    for number in range(17_000):
        requests.write(0, 2 * number, 1, writeback=True)
    requests.flush()
    assert requests.c.root
    assert requests.c.root.level == 2
    found = checked(image_of(requests.c, []).pack())
    assert found.findings == []
    assert [str(k) for k in found.live] == [str(k) for k in requests.cached()]
