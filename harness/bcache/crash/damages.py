# SPDX-License-Identifier: GPL-2.0-or-later
"""Damage done to a set on disk, to see what the kernel does about it; and what it is expected to do.

Sources: `read_super`, `run_cache_set`, `prio_read` (super.c), `journal_read_bucket`, `bch_journal_replay`
(journal.c), `bch_btree_node_read_done`, `bch_btree_check` (btree.c).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from harness.bcache.check import CheckedCache
from harness.bcache.crash.moments import Disks
from harness.bcache.crash.predict import Prediction, checked_cache
from harness.bcache.crash.write_log import SECTOR
from harness.bcache.findings import Invariant
from harness.bcache.journal import Entry
from harness.bcache.node import Node
from reference.bcache.bkey import Bkey, ptr_offset
from reference.bcache.crc64 import U64_MAX, bch_crc64
from reference.bcache.ondisk import JSET_HEADER
from reference.bcache.superblock import SB_OFFSET_BYTES

__all__ = ["DAMAGES", "Refused", "damaged", "refusal"]

Refused = str | None
"""The kernel's words for why there will be no device; None when there will be one."""

_STOPPED_BY = {
    Invariant.SUPERBLOCK: "Bad checksum",
    Invariant.JOURNAL_COMPLETE: "missing!",
    Invariant.PRIO_CSUM: "bad csum reading priorities",
    Invariant.PRIO_MAGIC: "bad magic reading priorities",
    Invariant.ROOT: "bad btree root",
    Invariant.NODE_SEQ: "bad btree header",
    Invariant.NODE_VERSION: "unsupported bset version",
    Invariant.NODE_LENGTH: "bad btree header",
    Invariant.NODE_MAGIC: "bad magic",
    Invariant.NODE_CSUM: "bad checksum",
    Invariant.NODE_EMPTY_SET: "empty set",
    Invariant.NODE_LOST_SET: "corrupted btree",
}
"""Findings with which the kernel starts no set, and why."""


def refusal(predicted: Prediction) -> Refused:
    """Return what the kernel says when it starts no set with what was found, None when it does."""
    if predicted.backing_complaint:
        return predicted.backing_complaint
    reasons = (_STOPPED_BY.get(found.invariant) for found in predicted.checked.findings)
    if found := next(filter(None, reasons), None):
        return found
    return None if predicted.checked.journal else "no journal entries found"


@dataclass
class _Target:
    """A sound set on disk."""

    disk: bytearray
    disks: Disks
    found: CheckedCache

    @property
    def bucket_bytes(self) -> int:
        return self.found.sb.bucket_size * SECTOR

    @property
    def block_bytes(self) -> int:
        return self.found.sb.block_size * SECTOR

    @property
    def entries(self) -> list[Entry]:
        assert self.found.journal
        return self.found.journal.entries

    def leaf(self, sets: int = 1) -> Node:
        """Return the leaf of most keys among those with so many sets or more."""
        assert self.found.tree
        leaves = [node for node in self.found.tree.nodes if not node.level and len(node.bsets) >= sets]
        return max(leaves, key=lambda node: sum(len(bset.keys) for bset in node.bsets))

    def root(self) -> Node:
        assert self.found.tree
        return self.found.tree.nodes[0]

    def extent(self, dirty: bool) -> Bkey:
        return max((k for k in self.found.live if k.dirty == dirty), key=lambda k: k.size)

    def flip(self, offset: int) -> None:
        self.disk[offset] ^= 0x10

    def of_entry(self, entry: Entry) -> int:
        """Return where a journal entry is, bytes."""
        assert entry.place.bucket is not None
        assert entry.place.block is not None
        return entry.place.bucket * self.bucket_bytes + entry.place.block * self.block_bytes

    def of_set(self, node: Node, number: int) -> int:
        """Return where a set of a node is, bytes."""
        return node.bucket * self.bucket_bytes + node.bsets[number].block * self.block_bytes


def damaged(disk: bytes | bytearray, disks: Disks, name: str) -> bytearray:
    """Return the disk, on which a sound set is, with the damage of that name."""
    target = _Target(bytearray(disk), disks, checked_cache(disk, disks))
    DAMAGES[name](target)
    return target.disk


def _cache_superblock(target: _Target) -> None:
    target.flip(SB_OFFSET_BYTES + 112)


def _backing_superblock(target: _Target) -> None:
    target.flip(target.disks.cache_sectors * SECTOR + SB_OFFSET_BYTES + 112)


def _newest_entry(target: _Target) -> None:
    target.flip(target.of_entry(target.entries[-1]) + JSET_HEADER - 1)


def _entry_before(target: _Target) -> None:
    target.flip(target.of_entry(target.entries[-2]) + JSET_HEADER - 1)


def _oldest_entry(target: _Target) -> None:
    target.flip(target.of_entry(target.entries[0]) + JSET_HEADER - 1)


def _newest_entry_wiped(target: _Target) -> None:
    start = target.of_entry(target.entries[-1])
    target.disk[start : start + target.block_bytes] = bytes(target.block_bytes)


def _whole_journal(target: _Target) -> None:
    for bucket in target.disks.journal:
        target.disk[bucket.start * SECTOR : bucket.stop * SECTOR] = bytes(len(bucket) * SECTOR)


def _priorities(target: _Target) -> None:
    target.flip(target.entries[-1].jset.prio_bucket[0] * target.bucket_bytes + 100)


def _gen_of_dirty_bucket(target: _Target) -> None:
    """The bucket looks reused, with a checksum that fits: its dirty data are given up."""
    assert target.found.buckets
    geometry = target.found.buckets.geometry
    bucket = geometry.bucket_of(target.extent(dirty=True).ptr[0])
    number, place = divmod(bucket, geometry.prios_per_bucket)
    prios = target.entries[-1].jset.prio_bucket[0]
    assert not number, "the first prio set must have the bucket"
    start = prios * target.bucket_bytes
    # struct bucket_disk: u16 prio, u8 gen; after the header of 40 bytes.
    gen = start + 40 + 3 * place + 2
    target.disk[gen] = target.disk[gen] + 1 & 0xFF
    body = bytes(target.disk[start + 8 : start + geometry.meta_bucket_bytes])
    struct.pack_into("<Q", target.disk, start, bch_crc64(body, U64_MAX))


def _root(target: _Target) -> None:
    target.flip(target.of_set(target.root(), 0) + 40)


def _leaf(target: _Target) -> None:
    target.flip(target.of_set(target.leaf(), 0) + 40)


def _later_set(target: _Target) -> None:
    target.flip(target.of_set(target.leaf(sets=2), -1) + 40)


def _later_set_gone(target: _Target) -> None:
    """As if it had never been written: nobody can know."""
    start = target.of_set(target.leaf(sets=2), -1)
    target.disk[start : start + target.block_bytes] = bytes(target.block_bytes)


def _leaf_wiped(target: _Target) -> None:
    start = target.of_set(target.leaf(), 0)
    target.disk[start : start + target.block_bytes] = bytes(target.block_bytes)


def _leaf_of_another_place(target: _Target) -> None:
    assert target.found.tree
    one, other = [node for node in target.found.tree.nodes if not node.level][:2]
    source, to = target.of_set(one, 0), target.of_set(other, 0)
    target.disk[to : to + target.bucket_bytes] = target.disk[source : source + target.bucket_bytes]


def _data(dirty: bool) -> Callable[[_Target], None]:
    def damage(target: _Target) -> None:
        target.flip(ptr_offset(target.extent(dirty).ptr[0]) * SECTOR + 7)

    return damage


DAMAGES: dict[str, Callable[[_Target], None]] = {
    "superblock of the cache": _cache_superblock,
    "superblock of the backing device": _backing_superblock,
    "newest journal entry": _newest_entry,
    "newest journal entry wiped": _newest_entry_wiped,
    "journal entry before the newest": _entry_before,
    "oldest journal entry that is needed": _oldest_entry,
    "whole journal": _whole_journal,
    "priorities": _priorities,
    "gen of a dirty bucket": _gen_of_dirty_bucket,
    "root": _root,
    "leaf": _leaf,
    "leaf wiped": _leaf_wiped,
    "leaf of another place": _leaf_of_another_place,
    "later set of a leaf": _later_set,
    "later set of a leaf gone": _later_set_gone,
    "dirty data": _data(dirty=True),
    "clean data": _data(dirty=False),
}
"""What is damaged, by name."""
