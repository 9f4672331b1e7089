# SPDX-License-Identifier: GPL-2.0-or-later
"""What a stopped set held: newer sets of keys first, and nothing of buckets that were used again."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.bcache.record import SET_FILE, NodeOnDisk, SetOnDisk
from harness.bundle import Bundle
from harness.judge import bcache_maps
from reference.bcache.bkey import key, make_ptr


def test_maps_of_a_stopped_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def ptr(bucket: int, gen: int) -> int:
        return make_ptr(gen, bucket * 8, 0)

    older = [key(0, 8, 8, [ptr(2, 1)], dirty=True), key(0, 16, 8, [ptr(3, 0)]), key(0, 64, 8, [ptr(9, 0)])]
    newer = [key(0, 4, 4, [ptr(4, 5)]), key(0, 40, 8)]
    leaf = NodeOnDisk(key(0, 64, 8, [ptr(5, 0)]), 0, [older, newer])
    root = NodeOnDisk(key(0, 64, 8, [ptr(6, 0)]), 1, [[leaf.key]])
    # The bucket of 8 to 16 was used again; that of 56 to 64 is not in the cache.
    found = SetOnDisk(8, 1, 8, 1, [root, leaf], gens=bytes([0, 0, 1, 1, 5, 0, 0, 0]))
    monkeypatch.setattr(bcache_maps, "load_set", lambda _bundle: found)
    assert bcache_maps.cache_maps(Bundle(tmp_path, {"files": {}})) == ()
    [drawn] = bcache_maps.cache_maps(Bundle(tmp_path, {"files": {SET_FILE: {}}}))
    assert drawn["cells"] == [[1, 0]] * 4 + [[1, 1]] * 4
