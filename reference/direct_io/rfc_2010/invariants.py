# SPDX-License-Identifier: GPL-2.0-or-later
"""What must hold while a read is under way, and when all has ended."""

from __future__ import annotations

from reference.direct_io.rfc_2010.kernel import Kernel
from reference.direct_io.rfc_2010.structs import BtrfsDiocb

__all__ = ["check_always", "check_end"]


def check_always(kernel: Kernel) -> None:
    """Invariants of each moment.

    1. What an extcb has not completed of the file is locked; with checksums, whole blocks.
    2. An extcb has no more bios than fit in `order`.
    """
    for diocb in kernel.diocbs.leaks():
        assert isinstance(diocb, BtrfsDiocb)
        within = 0 if kernel.source.nodatasum else diocb.blocksize - 1
        for extcb in diocb.under_way:
            assert len(extcb.order) <= kernel.limits.max_stripe_segments + 1, "invariant 2: order[] is full"
            start = extcb.filestart & ~within
            end = ((extcb.fileend + within) & ~within) - 1
            assert start > end or kernel.io_tree.holds(start, end), (
                f"invariant 1: [{start}, {end}] is being read, and locked is {kernel.io_tree.locked}"
            )


def check_end(kernel: Kernel) -> None:
    """Invariants 3 to 5 of the end: nothing that the read took is left, locked, allocated or pinned."""
    assert not kernel.io_tree.locked, f"invariant 3: {kernel.io_tree.locked} is left locked"
    assert not kernel.i_mutex_locked, "invariant 4: i_mutex is left locked"
    for slab in (kernel.diocbs, kernel.extcbs, kernel.ems, kernel.bios, kernel.pages):
        slab.check_empty()
    kernel.memory.check_released()
