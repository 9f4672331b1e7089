# SPDX-License-Identifier: GPL-2.0-or-later
"""What differs between kernels that read directly through iomap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

__all__ = ["Behaviour"]

MIB = 1 << 20


@dataclass(frozen=True)
class Behaviour:
    """The rules of a kernel; each field is named after what the kernel does."""

    name: str
    max_read_bytes: int | None = MIB
    """What one extent map can give to a read at most: BIO_MAX_VECS blocks (`btrfs_dio_iomap_begin`, 6.18)."""
    checks_bases: bool = True
    """Two vectors with one base make a read buffered (`check_direct_read`)."""
    mirrored_cut: bool = False
    """Reads of mirrored chunks end with each 64 KiB too (`btrfs_get_io_geometry` up to 6.3)."""

    linux_6_18: ClassVar[Behaviour]


Behaviour.linux_6_18 = Behaviour("linux_6_18")
