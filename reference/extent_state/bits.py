# SPDX-License-Identifier: GPL-2.0-or-later
"""What the bits of an extent state mean to the tree. Their values move between kernels, so they are data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["LINUX_6_18", "BitLayout", "MissingBitError"]

_PREFIX = "EXTENT_"


class MissingBitError(KeyError):
    """A kernel's list of bits lacks one that the tree's rules need."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class BitLayout:
    """The bits of one kernel (fs/btrfs/extent-io-tree.h), sorted by what the tree does to them.

    >>> LINUX_6_18.describe(2 | 32)
    'LOCKED|DELALLOC'
    >>> LINUX_6_18.describe(0), LINUX_6_18.describe(1 << 30)
    ('0', '0x40000000')
    """

    lock_bits: int
    """EXTENT_LOCK_BITS: setting one fails where it is set already; never merged."""
    boundary: int
    """EXTENT_BOUNDARY: never merged."""
    ctlbits: int
    """EXTENT_CTLBITS: requests to the caller's accounting, never stored."""
    delalloc: int
    """EXTENT_DELALLOC: clearing it clears `noreserve` too."""
    noreserve: int
    """EXTENT_NORESERVE."""
    clear_all_bits: int
    """EXTENT_CLEAR_ALL_BITS: clear whatever is set. One of the `ctlbits`."""
    names: Mapping[str, int] = field(hash=False)
    """Each single bit by its name without EXTENT_."""

    @classmethod
    def from_names(cls, names: Mapping[str, int]) -> BitLayout:
        """Build the layout from a kernel's own names and values, as BTF lists them.

        Names without EXTENT_ are taken too; values of more than one bit are left out. Kernels before
        6.12 have no DIO_LOCKED, those before 5.11 no ADD_INODE_BYTES. Raises MissingBitError for any other.
        """
        single = {
            name.removeprefix(_PREFIX): value for name, value in names.items() if value.bit_count() == 1
        }

        def bit(name: str) -> int:
            if name not in single:
                raise MissingBitError(
                    f"the kernel's extent bits lack {_PREFIX}{name}: cannot model its io trees"
                )
            return single[name]

        accounting = bit("CLEAR_META_RESV") | bit("CLEAR_DATA_RESV")
        return cls(
            lock_bits=bit("LOCKED") | single.get("DIO_LOCKED", 0),
            boundary=bit("BOUNDARY"),
            ctlbits=accounting | single.get("ADD_INODE_BYTES", 0) | bit("CLEAR_ALL_BITS"),
            delalloc=bit("DELALLOC"),
            noreserve=bit("NORESERVE"),
            clear_all_bits=bit("CLEAR_ALL_BITS"),
            names=single,
        )

    def describe(self, bits: int) -> str:
        """Return `bits` by name, lowest first; what has no name is one hexadecimal number at the end."""
        known = {value: name for name, value in reversed(list(self.names.items()))}
        words = [name for value, name in sorted(known.items()) if bits & value]
        rest = bits & ~sum(known)
        if rest or not words:
            words.append(f"{rest:#x}" if rest else "0")
        return "|".join(words)


# From the BTF of 6.18.44: `bpftool btf dump file /sys/kernel/btf/vmlinux format c`.
LINUX_6_18 = BitLayout.from_names(
    {
        "EXTENT_DIRTY": 1 << 0,
        "EXTENT_LOCKED": 1 << 1,
        "EXTENT_DIO_LOCKED": 1 << 2,
        "EXTENT_DIRTY_LOG1": 1 << 3,
        "EXTENT_DIRTY_LOG2": 1 << 4,
        "EXTENT_DELALLOC": 1 << 5,
        "EXTENT_DEFRAG": 1 << 6,
        "EXTENT_BOUNDARY": 1 << 7,
        "EXTENT_NODATASUM": 1 << 8,
        "EXTENT_CLEAR_META_RESV": 1 << 9,
        "EXTENT_NEED_WAIT": 1 << 10,
        "EXTENT_NORESERVE": 1 << 11,
        "EXTENT_QGROUP_RESERVED": 1 << 12,
        "EXTENT_CLEAR_DATA_RESV": 1 << 13,
        "EXTENT_DELALLOC_NEW": 1 << 14,
        "EXTENT_FINISHING_ORDERED": 1 << 15,
        "EXTENT_ADD_INODE_BYTES": 1 << 16,
        "EXTENT_CLEAR_ALL_BITS": 1 << 17,
        "EXTENT_NOWAIT": 1 << 18,
    }
)
"""The layout of Linux 6.18."""
