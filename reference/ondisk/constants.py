# SPDX-License-Identifier: GPL-2.0-or-later
"""Numbers of btrfs's on-disk format (include/uapi/linux/btrfs_tree.h, fs/btrfs/ctree.h of 5.10)."""

from __future__ import annotations

from enum import IntEnum, IntFlag

__all__ = [
    "BTRFS_MAGIC",
    "BTRFS_MAX_LEVEL",
    "BTRFS_MAX_METADATA_BLOCKSIZE",
    "BTRFS_STRIPE_LEN",
    "BTRFS_SUPER_INFO_OFFSET",
    "BTRFS_SUPER_INFO_SIZE",
    "BlockGroupFlag",
    "IncompatFlag",
    "KeyType",
    "TreeId",
]

BTRFS_MAGIC = int.from_bytes(b"_BHRfS_M", "little")
BTRFS_SUPER_INFO_OFFSET = 64 << 10
"""Where a device has its first superblock, bytes. The others are copies, which a mount does not look at."""
BTRFS_SUPER_INFO_SIZE = 4096
BTRFS_MAX_LEVEL = 8
"""Levels of a tree, so that a root's is 7 at most."""
BTRFS_MAX_METADATA_BLOCKSIZE = 64 << 10
BTRFS_STRIPE_LEN = 64 << 10


class BlockGroupFlag(IntFlag):
    """BTRFS_BLOCK_GROUP_*: what is in a chunk, and how it is spread over devices."""

    DATA = 1 << 0
    SYSTEM = 1 << 1
    METADATA = 1 << 2
    RAID0 = 1 << 3
    RAID1 = 1 << 4
    DUP = 1 << 5
    RAID10 = 1 << 6
    RAID5 = 1 << 7
    RAID6 = 1 << 8
    RAID1C3 = 1 << 9
    RAID1C4 = 1 << 10

    TYPE_MASK = DATA | SYSTEM | METADATA
    PROFILE_MASK = RAID0 | RAID1 | DUP | RAID10 | RAID5 | RAID6 | RAID1C3 | RAID1C4
    RAID56_MASK = RAID5 | RAID6
    RAID1_MASK = RAID1 | RAID1C3 | RAID1C4


class IncompatFlag(IntFlag):
    """BTRFS_FEATURE_INCOMPAT_*, those that change how metadata is read."""

    MIXED_GROUPS = 1 << 2
    METADATA_UUID = 1 << 10
    EXTENT_TREE_V2 = 1 << 13
    RAID_STRIPE_TREE = 1 << 14
    REMAP_TREE = 1 << 17


class KeyType(IntEnum):
    """BTRFS_*_KEY, those that are read here."""

    INODE_ITEM = 1
    EXTENT_DATA = 108
    EXTENT_CSUM = 128
    ROOT_ITEM = 132
    EXTENT_ITEM = 168
    METADATA_ITEM = 169
    BLOCK_GROUP_ITEM = 192
    DEV_ITEM = 216
    CHUNK_ITEM = 228


class TreeId(IntEnum):
    """BTRFS_*_TREE_OBJECTID."""

    ROOT = 1
    EXTENT = 2
    CHUNK = 3
    DEV = 4
    FS = 5
    CSUM = 7
    QUOTA = 8
    UUID = 9
    FREE_SPACE = 10
    BLOCK_GROUP = 11
