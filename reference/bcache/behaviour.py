# SPDX-License-Identifier: GPL-2.0-or-later
"""The named differences between kernels in what bcache's btree does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

__all__ = ["Behaviour"]


@dataclass(frozen=True)
class Behaviour:
    """What a kernel does differently. The defaults are what the seed and 7.2 do.

    Told from Debian's sources of 6.12.117 and 7.2.13, which were compared file by file; a running kernel
    shows it by `bucket_wait_cnt` in `struct cache_set` (BTF).
    """

    gc_pauses_for_searches_only: bool = False
    """Garbage collection pauses only while a search is in flight, after max(100, nodes / 100) nodes, for
    100 ms. Later it always pauses, after 10 nodes, or nodes >> 7 when no search is in flight and that is
    more, for 100 ms, or 10 ms when somebody waits for a bucket (`btree_gc_min_nodes`,
    `btree_gc_sleep_ms`)."""

    linux_6_12: ClassVar[Behaviour]
    """Debian's 6.12.117."""
    linux_7_2: ClassVar[Behaviour]
    """Debian's 7.2.13, and the seed."""


Behaviour.linux_6_12 = Behaviour(gc_pauses_for_searches_only=True)
Behaviour.linux_7_2 = Behaviour()
