# SPDX-License-Identifier: GPL-2.0-or-later
"""One node of the btree, read from the device and checked: its bsets, their keys, and what they amount to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from harness.bcache.device import Device, UnreadableError
from harness.bcache.findings import Findings, Invariant, Place
from reference.bcache.bkey import ZERO_POSITION, Bkey, ptr_offset
from reference.bcache.crc64 import U64_MAX, bch_crc64
from reference.bcache.geometry import SECTOR, Geometry
from reference.bcache.ondisk import (
    BCACHE_BSET_VERSION,
    BSET_HEADER,
    BSET_MAGIC,
    BrokenKeyError,
    BsetHeader,
    keys_of,
)

__all__ = ["Bset", "Node", "is_freeing", "read_node"]


@dataclass(frozen=True)
class Bset:
    """A bset and where it begins, blocks from the begin of the node."""

    header: BsetHeader
    block: int
    keys: list[Bkey]


@dataclass(frozen=True)
class Node:
    """A node: the key that points to it, and what was read."""

    key: Bkey
    level: int
    bucket: int
    bsets: list[Bset] = field(default_factory=list)
    whole: bool = True
    """Whether nothing of it is missing because of damage."""

    def place(self, bset: int | None = None, index: int | None = None) -> Place:
        """Return where a set or a key of the node is."""
        block = None if bset is None else self.bsets[bset].block
        return Place("node", self.bucket, block, bset, index)

    def numbered_keys(self) -> Iterator[tuple[Bkey, int, int]]:
        """Yield all keys, oldest set first, each with the number of its set and its own."""
        for number, bset in enumerate(self.bsets):
            for index, k in enumerate(bset.keys):
                yield k, number, index


def read_node(
    device: Device, geometry: Geometry, set_magic: int, key: Bkey, level: int, findings: Findings
) -> Node:
    """Read the node that a valid `key` points to: `bch_btree_node_read_done`, btree.c.

    Where the kernel stops at the first thing wrong, this keeps what came before it.
    """
    bucket = geometry.bucket_of(key.ptr[0])
    reader = _Reader(geometry, set_magic ^ BSET_MAGIC, key, bucket, findings)
    try:
        data = device.read(ptr_offset(key.ptr[0]) * SECTOR, key.size * SECTOR)
    except UnreadableError as error:
        findings.add(Invariant.READABLE, Place("node", bucket), str(error))
        return Node(key, level, bucket, [], False)
    whole = reader.read(data)
    node = Node(key, level, bucket, reader.bsets, whole)
    for number in range(len(node.bsets)):
        _check_order(node, number, findings)
    return node


class _Reader:
    """Takes the bsets of one node from its bytes."""

    def __init__(self, geometry: Geometry, magic: int, key: Bkey, bucket: int, findings: Findings) -> None:
        self.geometry = geometry
        self.magic = magic
        self.first_ptr = key.ptr[0]
        self.bucket = bucket
        self.findings = findings
        self.bsets: list[Bset] = []
        self.seq = 0
        self.whole = True

    def read(self, data: bytes) -> bool:
        """Read the sets that belong together; returns whether all is well."""
        blocks = len(data) // self.geometry.block_bytes
        written = 0
        while written < blocks:
            header = BsetHeader.from_bytes(data, written * self.geometry.block_bytes)
            if not self.bsets:
                self.seq = header.seq
            if header.seq != self.seq:
                break
            if wrong := self._wrong_with(header, data, written, blocks):
                invariant, message = wrong
                self._complain(invariant, written, message)
                return False
            self.bsets.append(Bset(header, written, self._keys(header, data, written)))
            written += self.geometry.blocks(BSET_HEADER, header.keys)
        self._look_for_lost_sets(data, written, blocks)
        return self.whole

    def _wrong_with(
        self, header: BsetHeader, data: bytes, written: int, blocks: int
    ) -> tuple[Invariant, str] | None:
        start = written * self.geometry.block_bytes
        reached = written + self.geometry.blocks(BSET_HEADER, header.keys)
        if not header.seq:
            return Invariant.NODE_SEQ, "the first bset has the number 0: bad btree header"
        if header.version > BCACHE_BSET_VERSION:
            return Invariant.NODE_VERSION, f"unsupported bset version {header.version}"
        if reached > blocks:
            return Invariant.NODE_LENGTH, f"{header.keys} words of keys do not fit: bad btree header"
        if header.magic != self.magic:
            return Invariant.NODE_MAGIC, f"bad magic {header.magic:#x} instead of {self.magic:#x}"
        seed = self.first_ptr if header.version else U64_MAX
        computed = bch_crc64(data[start + 8 : start + header.bytes], seed)
        if header.csum != computed:
            return Invariant.NODE_CSUM, f"bad checksum {header.csum:#x}, computed {computed:#x}"
        return (Invariant.NODE_EMPTY_SET, "empty set") if self.bsets and not header.keys else None

    def _keys(self, header: BsetHeader, data: bytes, written: int) -> list[Bkey]:
        start = written * self.geometry.block_bytes + BSET_HEADER
        words = memoryview(data)[start : start + header.keys * 8].cast("Q")
        found: list[Bkey] = []
        try:
            for k in keys_of(tuple(words)):
                found.append(k)  # noqa: PERF402  # those before the broken one are kept
        except BrokenKeyError as broken:
            self._complain(
                Invariant.BSET_KEY_FITS, written, f"the key at word {broken.index} ends after its bset"
            )
            self.whole = False
        return found

    def _look_for_lost_sets(self, data: bytes, written: int, blocks: int) -> None:
        for block in range(written, blocks):
            if BsetHeader.from_bytes(data, block * self.geometry.block_bytes).seq == self.seq:
                self._complain(
                    Invariant.NODE_LOST_SET, block, "a bset of this node after its end: corrupted btree"
                )
                self.whole = False

    def _complain(self, invariant: Invariant, block: int, message: str) -> None:
        place = Place("node", self.bucket, block, len(self.bsets))
        self.findings.add(invariant, place, message)


def _check_order(node: Node, number: int, findings: Findings) -> None:
    """What `bch_btree_iter_next_check` (bset.c) panics about, when the kernel checks at all."""
    keys = node.bsets[number].keys
    for index, (before, after) in enumerate(pairwise(keys)):
        if before.position <= (after.position if node.level else after.start_position):
            continue
        ordered = before.position < after.position and not node.level
        invariant = Invariant.BSET_OVERLAP if ordered else Invariant.BSET_ORDER
        said = "overlaps" if ordered else "is out of order after"
        findings.add(invariant, node.place(number, index + 1), f"{after} {said} {before}")


def is_freeing(k: Bkey) -> bool:
    """Whether a key of an inner node only says that its node was freed."""
    return k.position == ZERO_POSITION
