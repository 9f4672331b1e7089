# SPDX-License-Identifier: GPL-2.0-or-later
"""Items of the root tree: where the other trees' roots are."""

from __future__ import annotations

import struct
from typing import NamedTuple

from reference.ondisk.errors import FormatError

__all__ = ["RootItem"]

# struct btrfs_root_item up to its first version's end: inode (160), generation, root_dirid, bytenr,
# byte_limit, bytes_used, last_snapshot, flags, refs, drop_progress, drop_level, level.
_ROOT_ITEM = struct.Struct("<160x7QI17sBB")


class RootItem(NamedTuple):
    """`struct btrfs_root_item`, what it says of the root."""

    bytenr: int
    """Logical address, bytes."""
    generation: int
    level: int
    bytes_used: int

    @classmethod
    def from_bytes(cls, data: bytes | memoryview) -> RootItem:
        """Take a root item apart; FormatError if it is too short."""
        if len(data) < _ROOT_ITEM.size:
            raise FormatError(f"{len(data)} bytes are too few for a root item")
        generation, _, bytenr, _, bytes_used, *_, level = _ROOT_ITEM.unpack_from(data)
        return cls(bytenr, generation, level, bytes_used)
