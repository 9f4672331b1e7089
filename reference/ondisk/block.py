# SPDX-License-Identifier: GPL-2.0-or-later
"""Blocks of trees: header, pointers, items; and whether a block can be believed."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from errno import EUCLEAN
from itertools import pairwise
from typing import NamedTuple

from reference.ondisk.constants import BTRFS_MAX_LEVEL
from reference.ondisk.csum import CsumType
from reference.ondisk.errors import BlockError
from reference.readahead.source import Key, Node

__all__ = ["BlockRules", "Header", "Item", "check_block", "items"]

# struct btrfs_header: csum, fsid, bytenr, flags, chunk_tree_uuid, generation, owner, nritems, level.
_HEADER = struct.Struct("<32x16sQQ16sQQIB")
# struct btrfs_key_ptr: key (objectid, type, offset), blockptr, generation.
_KEY_PTR = struct.Struct("<QBQQQ")
# struct btrfs_item: key (objectid, type, offset), offset of its data from the header's end, size.
_ITEM = struct.Struct("<QBQII")


class Header(NamedTuple):
    """`struct btrfs_header`."""

    fsid: bytes
    bytenr: int
    """Logical address, bytes."""
    flags: int
    chunk_tree_uuid: bytes
    generation: int
    owner: int
    """The tree that it was written for."""
    nritems: int
    level: int

    @classmethod
    def from_bytes(cls, block: bytes | memoryview) -> Header:
        """Take the header of a block apart."""
        return cls(*_HEADER.unpack_from(block))


class Item(NamedTuple):
    """An item of a leaf."""

    key: Key
    data: memoryview


class BlockRules(NamedTuple):
    """What all blocks of a file system have in common."""

    nodesize: int
    sectorsize: int
    csum_type: CsumType
    metadata_uuid: bytes


def check_block(block: bytes | memoryview, bytenr: int, rules: BlockRules) -> Node:
    """Return the block that was read from `bytenr`; BlockError if it cannot be believed.

    The checks of `btrfs_validate_metadata_buffer` (fs/btrfs/disk-io.c, 5.10) in its order. Of leaves, what
    is in the items is not looked at.
    """
    header = Header.from_bytes(block)
    if header.bytenr != bytenr:
        raise BlockError(bytenr, f"what is there says to be block {header.bytenr}")
    if header.fsid != rules.metadata_uuid:
        raise BlockError(bytenr, f"it is of another file system ({header.fsid.hex()})")
    if header.level >= BTRFS_MAX_LEVEL:
        raise BlockError(bytenr, f"it is of level {header.level}")
    if not rules.csum_type.holds(block):
        raise BlockError(bytenr, "its checksum is wrong", EUCLEAN)
    return _node(block, header, rules) if header.level else _leaf(block, header)


def items(leaf: bytes | memoryview) -> Iterator[Item]:
    """Yield the items of a leaf that `check_block` has seen, by key."""
    view = memoryview(leaf)
    for objectid, type_, key_offset, offset, size in _entries(view, _ITEM, Header.from_bytes(view).nritems):
        begin = _HEADER.size + offset
        yield Item(Key(objectid, type_, key_offset), view[begin : begin + size])


def _node(block: bytes | memoryview, header: Header, rules: BlockRules) -> Node:
    """Return a block of level 1 or up (`btrfs_check_node`)."""
    if not 0 < header.nritems <= (len(block) - _HEADER.size) // _KEY_PTR.size:
        raise BlockError(header.bytenr, f"it says to have {header.nritems} pointers")
    entries = list(_entries(block, _KEY_PTR, header.nritems))
    node = Node(
        header.bytenr,
        header.level,
        header.generation,
        tuple(Key(*entry[:3]) for entry in entries),
        tuple(entry[3] for entry in entries),
        tuple(entry[4] for entry in entries),
    )
    if any(not pointer or pointer % rules.sectorsize for pointer in node.blockptrs):
        raise BlockError(header.bytenr, "a pointer does not point to a sector")
    _check_order(header, node.keys)
    return node


def _leaf(block: bytes | memoryview, header: Header) -> Node:
    """Return a leaf with the keys of its items (`check_leaf`: keys, and where the data is)."""
    if header.nritems > (len(block) - _HEADER.size) // _ITEM.size:
        raise BlockError(header.bytenr, f"it says to have {header.nritems} items")
    entries = list(_entries(block, _ITEM, header.nritems))
    keys = tuple(Key(*entry[:3]) for entry in entries)
    _check_order(header, keys)
    # The data of items stands at the block's end, that of the first item last, without holes.
    end = len(block) - _HEADER.size
    for slot, (*_, offset, size) in enumerate(entries):
        if offset + size != end or offset < header.nritems * _ITEM.size:
            raise BlockError(header.bytenr, f"the data of item {slot} is where it cannot be")
        end = offset
    return Node(header.bytenr, 0, header.generation, keys)


def _entries(block: bytes | memoryview, entry: struct.Struct, count: int) -> Iterator[tuple[int, ...]]:
    return entry.iter_unpack(memoryview(block)[_HEADER.size : _HEADER.size + count * entry.size])


def _check_order(header: Header, keys: Sequence[Key]) -> None:
    if any(key >= behind for key, behind in pairwise(keys)):
        raise BlockError(header.bytenr, "its keys are not in order")
