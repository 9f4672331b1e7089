# SPDX-License-Identifier: GPL-2.0-or-later
"""Bits of a recorded kernel as bits of the 2007 models, to which all but two are opaque."""

from __future__ import annotations

from reference.extent_map import EXTENT_LOCKED, EXTENT_WRITEBACK
from reference.extent_state import Behaviour, BitLayout

__all__ = ["Masks"]

_OPAQUE_SHIFT = 8
"""Opaque bits stand above those that the models know by name."""


class Masks:
    """Translates masks of one kernel.

    The models keep states under I/O apart (EXTENT_LOCKED, EXTENT_WRITEBACK), the recorded kernels those that
    are locked (LOCKED, DIO_LOCKED): so these become those, and cost the merging that they would have cost.
    BOUNDARY, which the recorded kernels keep apart too, has no counterpart in 2007.

    >>> from reference.extent_state import LINUX_6_18
    >>> masks = Masks(LINUX_6_18)
    >>> masks.stored(LINUX_6_18.names["LOCKED"]) == EXTENT_LOCKED
    True
    >>> masks.stored(LINUX_6_18.names["CLEAR_ALL_BITS"])
    0
    """

    def __init__(self, layout: BitLayout, behaviour: Behaviour = Behaviour.linux_6_18) -> None:
        self.layout = layout
        self._locks_alone = behaviour.locks_alone
        self._locked = layout.names["LOCKED"]
        self._dio_locked = layout.lock_bits & ~self._locked
        self._known: dict[int, int] = {}

    def stored(self, mask: int) -> int:
        """Return what a state can have of `mask`, a mask of the kernel, as a mask of the models."""
        found = self._known.get(mask)
        if found is None:
            found = self._known[mask] = self._translated(mask)
        return found

    def cleared(self, mask: int) -> int:
        """Return the bits that a clear of `mask` takes away, but for CLEAR_ALL_BITS (`everything`)."""
        if mask & self.layout.delalloc:
            mask |= self.layout.noreserve
        return self.stored(mask)

    def everything(self, mask: int) -> bool:
        """Tell whether a clear of `mask` clears whatever is set."""
        return bool(mask & self.layout.clear_all_bits)

    def exclusive(self, mask: int) -> int:
        """Return the bits of the kernel's `mask` that a set of it may not find set already.

        >>> from reference.extent_state import LINUX_6_18
        >>> LINUX_6_18.describe(Masks(LINUX_6_18).exclusive(1 << 1 | 1 << 15))
        'LOCKED'
        """
        locks = mask & self.layout.lock_bits
        return 0 if self._locks_alone and locks != mask else locks

    def _translated(self, mask: int) -> int:
        opaque = mask & ~(self.layout.ctlbits | self.layout.lock_bits)
        bits = opaque << _OPAQUE_SHIFT
        if mask & self._locked:
            bits |= EXTENT_LOCKED
        if mask & self._dio_locked:
            bits |= EXTENT_WRITEBACK
        return bits
