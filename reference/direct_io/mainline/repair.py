# SPDX-License-Identifier: GPL-2.0-or-later
"""Which copy of a block is read next if one is bad."""

from __future__ import annotations

from reference.direct_io.mainline.behaviour import Behaviour

__all__ = ["next_mirror"]


def next_mirror(behaviour: Behaviour, failed: int, tried: int, first: int, copies: int) -> int | None:
    """Return the copy to try after `failed`; None if there is none.

    In a ring, until it is the first again. Or from 1 up, passing over only the one that has just failed: so
    5.10 may read the first one once more.
    """
    if copies == 1:
        return None
    if behaviour.repairs_in_ring:
        following = failed % copies + 1
        return None if following == first else following
    following = tried + 1
    if following == failed:
        following += 1
    return following if following <= copies else None
