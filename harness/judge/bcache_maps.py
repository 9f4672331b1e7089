# SPDX-License-Identifier: GPL-2.0-or-later
"""What a set held when it was stopped, for pictures."""

from __future__ import annotations

from typing import Any

from harness.bcache.picture import drawn
from harness.bcache.record import SET_FILE, SetOnDisk, load_set
from harness.bundle import Bundle
from reference.bcache.bkey import Bkey, ptr_gen, ptr_offset
from reference.bcache.live_map import LiveMap

__all__ = ["cache_maps"]


def cache_maps(bundle: Bundle) -> tuple[dict[str, Any], ...]:
    """Return the maps of a bundle with what was found on a cache device; none for others."""
    if not bundle.has(SET_FILE):
        return ()
    found = load_set(bundle)
    live = LiveMap()
    for node in found.nodes:
        for bset in () if node.level else node.bsets:
            for k in bset:
                live.insert(k.copy())
    return tuple(drawn("when it was stopped", (k for k in live if _is_there(k, found))))


def _is_there(k: Bkey, found: SetOnDisk) -> bool:
    """Whether the data of an extent are in the cache: its bucket was not used again."""
    if not k.ptr:
        return False
    bucket = ptr_offset(k.ptr[0]) // found.bucket_size
    return bucket < len(found.gens) and found.gens[bucket] == ptr_gen(k.ptr[0])
