# SPDX-License-Identifier: GPL-2.0-or-later
"""What ends the I/O of an extcb: the completion of its last bio, or of its submission."""

from __future__ import annotations

from typing import cast

from reference.direct_io.rfc_2010.bio import Bio
from reference.direct_io.rfc_2010.structs import DIOLOCK, BtrfsDioExtcb
from reference.machine import Steps

__all__ = ["btrfs_dio_bi_end_io", "btrfs_dio_extcb_biodone"]


def btrfs_dio_extcb_biodone(extcb: BtrfsDioExtcb) -> None:
    """Count one bio less; with the last, see to it that somebody completes the extcb. Called with diolock."""
    diocb = extcb.diocb
    extcb.pending_bios -= 1
    if extcb.pending_bios:
        return
    diocb.done_extcbs.append(extcb)
    if diocb.reaping:
        return
    if not diocb.waiter:
        diocb.reaping = True
        diocb.kernel.queue_worker("reaper", diocb.reaper(diocb))
    elif diocb.sleeping:
        diocb.sleeping = False
        diocb.waiter_running = True


def btrfs_dio_bi_end_io(bio: Bio, error: int) -> Steps[None]:
    """Take note of a bio that has ended; all else is done by the reaper or by who waits."""
    extcb = cast(BtrfsDioExtcb, bio.bi_private)
    diocb = extcb.diocb
    diocb.kernel.extcbs.check(extcb)
    yield DIOLOCK
    if not bio.uptodate:
        extcb.error = error
    btrfs_dio_extcb_biodone(extcb)
