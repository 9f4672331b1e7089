# SPDX-License-Identifier: GPL-2.0-or-later
"""The named differences between kernels in what the extent-io-tree does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

__all__ = ["Behaviour"]


@dataclass(frozen=True)
class Behaviour:
    """What an extent-io-tree does differently from kernel to kernel.

    Neither field changes which bits a range has in the end, as long as one task works alone and no convert
    clears what it sets. They change how long the lock is held, so what can come in between, how many states
    are allocated, and which of them survive.
    """

    searches_again: bool = False
    """Drops the lock and searches again after each hole filled and each head split off by a clear. So does
    6.12. The series "btrfs: some io tree optimizations and cleanups" (btrfs/linux issue 1573, April 2025)
    goes on under the same lock, from the end of the state that took in the hole, and after clearing a state
    looks no further than the end of the range."""

    trims_in_place: bool = False
    """Clearing all the bits of one end of a state moves that end, instead of splitting the state and erasing
    a half. Where the file has `state_wake_up`, which came later than `btrfs_next_extent_state` (6.17)."""

    mainline: ClassVar[Behaviour]
    """The file between that series and trimming, as in 6.18."""
    searching_again: ClassVar[Behaviour]
    """Linux 6.12."""
    trimming: ClassVar[Behaviour]
    """The btrfs development tree after 6.18."""


Behaviour.mainline = Behaviour()
Behaviour.searching_again = Behaviour(searches_again=True)
Behaviour.trimming = Behaviour(trims_in_place=True)
