# SPDX-License-Identifier: GPL-2.0-or-later
"""Which behaviour of the direct read a kernel has, told by what it has besides."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from reference.direct_io.mainline.behaviour import Behaviour
from reference.extent_state import UnknownBehaviourError

__all__ = ["FEATURES", "behaviour_of"]


class _Kernel(NamedTuple):
    """A point of the history: a kernel is behind it if it has `mark`."""

    mark: str
    """A function that is called from other files than its own, so it has a symbol."""
    behaviour: Behaviour


# Oldest first, so that a kernel which has one mark has those before it.
_HISTORY = (
    # include/linux/iomap.h, 4.10; btrfs has used it since 5.8.
    _Kernel("symbol:iomap_dio_rw", Behaviour.linux_5_10),
    # include/linux/uio.h, 6.0.
    _Kernel("symbol:iov_iter_get_pages2", Behaviour.linux_6_1),
    # include/linux/uio.h, 6.3.
    _Kernel("symbol:iov_iter_extract_pages", Behaviour.linux_6_12),
    # fs/btrfs/btrfs_inode.h, 6.18: the successor of btrfs_check_sector_csum().
    _Kernel("symbol:btrfs_check_block_csum", Behaviour.linux_6_18),
    # include/linux/uio.h, behind 6.18.
    _Kernel("symbol:iov_iter_extract_bvecs", Behaviour.linux_7_2),
)

FEATURES: tuple[str, ...] = tuple(sorted(kernel.mark for kernel in _HISTORY))
"""What a recorder looks for in the kernel, and keeps of it in a bundle's layout: `symbol:NAME` is a function
among the kernel's symbols."""


def behaviour_of(features: Collection[str]) -> Behaviour:
    """Return the behaviour of a kernel that has these of the `FEATURES`.

    Raises UnknownBehaviourError where they fit no known history.

    >>> behaviour_of({"symbol:iomap_dio_rw"}) is Behaviour.linux_5_10
    True
    """
    had = [kernel.mark in features for kernel in _HISTORY]
    if False in had[: sum(had)] or not had[0]:
        found = ", ".join(sorted(set(features) & set(FEATURES))) or "none of the symbols that tell"
        raise UnknownBehaviourError(f"direct reads of this kernel cannot be told from others: it has {found}")
    return _HISTORY[sum(had) - 1].behaviour
