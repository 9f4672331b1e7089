# SPDX-License-Identifier: GPL-2.0-or-later
"""btrfs's on-disk format, bytes to objects: superblocks, chunks, blocks of trees; see docs/ondisk.md."""

from __future__ import annotations

from reference.ondisk.block import BlockRules, Header, Item, check_block, items
from reference.ondisk.chunk import Chunk, ChunkStripe, sys_chunk_array
from reference.ondisk.chunk_map import ChunkMap, Row
from reference.ondisk.constants import (
    BTRFS_SUPER_INFO_OFFSET,
    BTRFS_SUPER_INFO_SIZE,
    BlockGroupFlag,
    KeyType,
    TreeId,
)
from reference.ondisk.csum import CsumType
from reference.ondisk.errors import BlockError, FormatError
from reference.ondisk.raid56 import failed_stripes, rebuild
from reference.ondisk.root_item import RootItem
from reference.ondisk.superblock import DevItem, Superblock

__all__ = [
    "BTRFS_SUPER_INFO_OFFSET",
    "BTRFS_SUPER_INFO_SIZE",
    "BlockError",
    "BlockGroupFlag",
    "BlockRules",
    "Chunk",
    "ChunkMap",
    "ChunkStripe",
    "CsumType",
    "DevItem",
    "FormatError",
    "Header",
    "Item",
    "KeyType",
    "RootItem",
    "Row",
    "Superblock",
    "TreeId",
    "check_block",
    "failed_stripes",
    "items",
    "rebuild",
    "sys_chunk_array",
]
