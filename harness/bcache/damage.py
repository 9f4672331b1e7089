# SPDX-License-Identifier: GPL-2.0-or-later
"""Kinds of damage for tests: each does one thing to the small image and names the finding that tells it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace

from harness.bcache.findings import Invariant
from harness.bcache.testing import (
    DATA,
    END,
    FREED,
    LEFT,
    PRIOS,
    RIGHT,
    ROOT,
    UUIDS,
    Image,
    reseal_bset,
)
from reference.bcache.bkey import Bkey, key, make_ptr, ptr_gen
from reference.bcache.superblock import SB_OFFSET_BYTES, FeatureIncompat, SbVersion

__all__ = ["DAMAGES", "Damage"]

BUCKET = 4096
Edit = Callable[[Image], None]
Poke = Callable[[bytearray, Image], None]


@dataclass(frozen=True)
class Damage:
    """One kind of damage."""

    name: str
    invariant: Invariant
    """What has to be found."""
    where: str
    """What the place of the finding has to say."""
    edit: Edit | None = None
    """Changes the image before it is written, so that checksums fit."""
    poke: Poke | None = None
    """Changes its bytes."""
    nbuckets: int = 160


DAMAGES: list[Damage] = []


def _edit(invariant: Invariant, where: str, nbuckets: int = 160) -> Callable[[Edit], Edit]:
    def add(edit: Edit) -> Edit:
        DAMAGES.append(Damage(edit.__name__, invariant, where, edit=edit, nbuckets=nbuckets))
        return edit

    return add


def _poke(invariant: Invariant, where: str, nbuckets: int = 160) -> Callable[[Poke], Poke]:
    def add(poke: Poke) -> Poke:
        DAMAGES.append(Damage(poke.__name__, invariant, where, poke=poke, nbuckets=nbuckets))
        return poke

    return add


def _flip(data: bytearray, offset: int) -> None:
    data[offset] ^= 0x10


def _journal(image: Image, place: int, entry: int, **changes: object) -> None:
    image.jsets[place][entry] = replace(image.jsets[place][entry], **changes)  # type: ignore[arg-type]


# Superblock


@_poke(Invariant.SUPERBLOCK, "superblock")
def superblock_bit_flipped(data: bytearray, _: Image) -> None:
    _flip(data, SB_OFFSET_BYTES + 112)


@_edit(Invariant.SUPERBLOCK, "superblock")
def block_size_of_three(image: Image) -> None:
    image.sb = replace(image.sb, block_size=3)


@_poke(Invariant.SUPERBLOCK, "superblock")
def device_truncated(data: bytearray, _: Image) -> None:
    del data[-512:]


@_edit(Invariant.SUPERBLOCK, "superblock")
def journal_not_sequential(image: Image) -> None:
    image.sb = replace(image.sb, d=(2, 3, 5, 4))


@_edit(Invariant.SUPERBLOCK, "superblock")
def device_number_outside_of_set(image: Image) -> None:
    image.sb = replace(image.sb, nr_this_dev=1)


@_edit(Invariant.SUPERBLOCK, "superblock")
def superblock_moved(image: Image) -> None:
    image.sb = replace(image.sb, offset=16)


@_poke(Invariant.SUPERBLOCK, "superblock")
def bucket_size_overflows(data: bytearray, image: Image) -> None:
    data[SB_OFFSET_BYTES : SB_OFFSET_BYTES + 4096] = replace(
        image.sb,
        version=SbVersion.CDEV_WITH_FEATURES,
        feature_incompat=FeatureIncompat.LOG_LARGE_BUCKET_SIZE,
        raw_bucket_size=40,
    ).pack()


# Journal


@_poke(Invariant.JOURNAL_ENTRY, "journal, entry 6, bucket 3")
def needed_entry_flipped(data: bytearray, _: Image) -> None:
    _flip(data, 3 * BUCKET + 50)


@_poke(Invariant.JOURNAL_ENTRY, "journal, entry 6, bucket 3")
def needed_entry_too_long(data: bytearray, _: Image) -> None:
    struct.pack_into("<I", data, 3 * BUCKET + 28, 5000)


@_poke(Invariant.JOURNAL_ENTRY, "journal, bucket 3, block 0")
def entry_before_the_newest_wiped(data: bytearray, _: Image) -> None:
    data[3 * BUCKET : 3 * BUCKET + 512] = bytes(512)


@_poke(Invariant.JOURNAL_ENTRY, "journal, entry 5, bucket 2")
def oldest_entry_flipped(data: bytearray, _: Image) -> None:
    _flip(data, 2 * BUCKET + 512 + 250)


@_poke(Invariant.JOURNAL_COMPLETE, "journal")
def needed_entry_overwritten(data: bytearray, _: Image) -> None:
    data[2 * BUCKET : 3 * BUCKET] = bytes(BUCKET)


@_edit(Invariant.JOURNAL_COMPLETE, "journal")
def needed_entry_missing(image: Image) -> None:
    del image.jsets[1][0]


@_poke(Invariant.JOURNAL_NEWEST, "journal")
def journal_empty(data: bytearray, _: Image) -> None:
    data[2 * BUCKET : 6 * BUCKET] = bytes(4 * BUCKET)


@_edit(Invariant.JOURNAL_NEWEST, "entry 7")
def entry_needs_the_future(image: Image) -> None:
    _journal(image, 1, 1, last_seq=90)


@_edit(Invariant.JOURNAL_ENTRY, "entry 6")
def entry_of_unknown_version(image: Image) -> None:
    _journal(image, 1, 0, version=9)


@_edit(Invariant.JOURNAL_KEY, "entry 5, bucket 2, block 1, key 0")
def journal_key_outside(image: Image) -> None:
    k = key(0, 1504, 8, [make_ptr(0, 1 << 30, 0)])
    _journal(image, 0, 1, words=tuple(k.words()))


@_edit(Invariant.JOURNAL_KEY, "entry 5, bucket 2, block 1, key 0")
def journal_key_cut_off(image: Image) -> None:
    _journal(image, 0, 1, words=image.jsets[0][1].words[:2])


# What the journal points to


@_edit(Invariant.ROOT, "entry 7")
def root_pointer_without_sectors(image: Image) -> None:
    _journal(image, 1, 1, btree_root=key(*END, 0, [image.ptr(ROOT)]))


@_edit(Invariant.ROOT, "entry 7")
def root_that_ends_early(image: Image) -> None:
    _journal(image, 1, 1, btree_root=image.node_key((0, 1000), ROOT))


@_edit(Invariant.ROOT, "entry 7")
def root_in_reused_bucket(image: Image) -> None:
    image.gens[ROOT] += 3


@_edit(Invariant.UUIDS, "entry 7")
def uuid_pointer_into_the_superblock(image: Image) -> None:
    _journal(image, 1, 1, uuid_bucket=key(0, 0, 8, [make_ptr(0, 8, 0)]))


@_edit(Invariant.UUIDS, "uuids, bucket 50")
def device_there_twice(image: Image) -> None:
    image.uuids.append(image.uuids[0])


@_edit(Invariant.KNOWN_DEVICE, "device 0")
def device_forgotten(image: Image) -> None:
    image.uuids[0] = replace(image.uuids[0], uuid=bytes(16))


@_edit(Invariant.KNOWN_DEVICE, "device 4000")
def extent_of_impossible_device(image: Image) -> None:
    image.nodes[RIGHT].bsets[0].append(key(4000, 8, 8, [image.ptr(DATA + 50)]))


# Prios


@_poke(Invariant.PRIO_CSUM, f"prios, bucket {PRIOS}")
def prio_flipped(data: bytearray, _: Image) -> None:
    _flip(data, PRIOS * BUCKET + 60)


@_poke(Invariant.PRIO_CSUM, f"prios, bucket {PRIOS + 1}", 3000)
def second_prio_set_flipped(data: bytearray, _: Image) -> None:
    _flip(data, (PRIOS + 1) * BUCKET + 60)


@_edit(Invariant.PRIO_MAGIC, f"prios, bucket {PRIOS}")
def prio_set_of_another_cache(image: Image) -> None:
    sb = image.sb
    image.sb = replace(sb, set_uuid=bytes(16)[:8] + sb.set_uuid[8:])
    prio_set = image.prio_set(0)
    image.sb = sb
    image.prio_sets[0] = prio_set


@_edit(Invariant.PRIO_CHAIN, "prios, bucket 9999")
def prio_pointer_outside(image: Image) -> None:
    _journal(image, 1, 1, prio_bucket=(9999, *[0] * 7))


@_edit(Invariant.PRIO_CHAIN, f"prios, bucket {PRIOS}", 3000)
def prio_chain_goes_round(image: Image) -> None:
    image.prio_buckets[2] = PRIOS


@_edit(Invariant.PRIO_SEQ, f"prios, bucket {PRIOS + 1}", 3000)
def prio_set_from_before(image: Image) -> None:
    image.prio_seqs[1] -= 1


# Nodes


@_edit(Invariant.NODE_SEQ, f"node, bucket {LEFT}")
def node_without_number(image: Image) -> None:
    image.nodes[LEFT].seq = 0


@_edit(Invariant.NODE_VERSION, f"node, bucket {LEFT}")
def node_of_unknown_version(image: Image) -> None:
    image.nodes[LEFT].version = 2


@_poke(Invariant.NODE_LENGTH, f"node, bucket {LEFT}, block 0, bset 0")
def bset_too_long(data: bytearray, _: Image) -> None:
    struct.pack_into("<I", data, LEFT * BUCKET + 28, 4000)


@_poke(Invariant.NODE_LENGTH, f"node, bucket {LEFT}, block 1, bset 1")
def second_bset_too_long(data: bytearray, _: Image) -> None:
    struct.pack_into("<I", data, LEFT * BUCKET + 512 + 28, 450)


@_poke(Invariant.NODE_MAGIC, f"node, bucket {RIGHT}")
def bset_of_another_cache(data: bytearray, _: Image) -> None:
    _flip(data, RIGHT * BUCKET + 8)


@_poke(Invariant.NODE_CSUM, f"node, bucket {LEFT}, block 0, bset 0")
def key_flipped(data: bytearray, _: Image) -> None:
    _flip(data, LEFT * BUCKET + 40)


@_poke(Invariant.NODE_CSUM, f"node, bucket {LEFT}, block 1, bset 1")
def key_of_second_bset_flipped(data: bytearray, _: Image) -> None:
    _flip(data, LEFT * BUCKET + 512 + 40)


@_poke(Invariant.NODE_CSUM, f"node, bucket {ROOT}")
def root_flipped(data: bytearray, _: Image) -> None:
    _flip(data, ROOT * BUCKET + 40)


@_poke(Invariant.NODE_CSUM, f"node, bucket {RIGHT}")
def node_in_another_place(data: bytearray, image: Image) -> None:
    data[RIGHT * BUCKET : (RIGHT + 1) * BUCKET] = data[LEFT * BUCKET : (LEFT + 1) * BUCKET]
    assert image.nodes[RIGHT].key.ptr != image.nodes[LEFT].key.ptr


@_poke(Invariant.NODE_SEQ, f"node, bucket {LEFT}")
def node_wiped(data: bytearray, _: Image) -> None:
    data[LEFT * BUCKET : (LEFT + 1) * BUCKET] = bytes(BUCKET)


@_edit(Invariant.NODE_EMPTY_SET, f"node, bucket {LEFT}, block 2, bset 2")
def empty_bset(image: Image) -> None:
    image.nodes[LEFT].bsets.append([])


@_poke(Invariant.NODE_LOST_SET, f"node, bucket {LEFT}, block 4")
def bset_after_the_end(data: bytearray, _: Image) -> None:
    start = LEFT * BUCKET
    data[start + 4 * 512 : start + 5 * 512] = data[start + 512 : start + 1024]


# Keys


@_poke(Invariant.BSET_KEY_FITS, f"node, bucket {RIGHT}, block 0, bset 0")
def key_promises_more_pointers(data: bytearray, image: Image) -> None:
    last = RIGHT * BUCKET + 32 + 4 * 24
    struct.pack_into("<Q", data, last, image.nodes[RIGHT].bsets[0][4].high | 7 << 60)
    reseal_bset(data, RIGHT * BUCKET, image.nodes[RIGHT].key.ptr[0])


@_edit(Invariant.BSET_ORDER, f"node, bucket {LEFT}, block 0, bset 0, key 1")
def keys_swapped(image: Image) -> None:
    keys = image.nodes[LEFT].bsets[0]
    keys[0], keys[1] = keys[1], keys[0]


@_edit(Invariant.BSET_ORDER, f"node, bucket {ROOT}, block 0, bset 0, key 2")
def children_swapped(image: Image) -> None:
    keys = image.nodes[ROOT].bsets[0]
    keys[1], keys[2] = keys[2], keys[1]


@_edit(Invariant.BSET_OVERLAP, f"node, bucket {RIGHT}, block 0, bset 0, key 3")
def extents_overlap(image: Image) -> None:
    image.nodes[RIGHT].bsets[0][3].size += 1


@_edit(Invariant.EXTENT, f"node, bucket {LEFT}, block 0, bset 0, key 4")
def extent_over_the_end_of_its_bucket(image: Image) -> None:
    image.nodes[LEFT].bsets[0][4] = image.extent(500, 8, DATA + 5, 1)


@_edit(Invariant.EXTENT, f"node, bucket {LEFT}, block 0, bset 0, key 0")
def extent_before_its_device(image: Image) -> None:
    image.nodes[LEFT].bsets[0][0] = image.extent(5, 8, DATA + 1)


@_edit(Invariant.EXTENT, f"node, bucket {LEFT}, block 0, bset 0, key 0")
def extent_in_the_superblock(image: Image) -> None:
    image.nodes[LEFT].bsets[0][0] = key(0, 100, 8, [make_ptr(0, 8, 0)])


@_edit(Invariant.NODE_POINTER, f"node, bucket {ROOT}, block 0, bset 0, key 1")
def child_after_the_end_of_the_cache(image: Image) -> None:
    image.nodes[ROOT].bsets[0][1] = key(0, 1000, 8, [make_ptr(0, 160 * 8, 0)])


@_edit(Invariant.NODE_POINTER, f"node, bucket {ROOT}, block 0, bset 0, key 2")
def dirty_child(image: Image) -> None:
    image.nodes[ROOT].bsets[0][2].dirty = True


@_edit(Invariant.KEY_AFTER_NODE, f"node, bucket {LEFT}, block 1, bset 1, key 3")
def key_after_its_node(image: Image) -> None:
    image.nodes[LEFT].bsets[1].append(image.extent(1004, 8, DATA + 50))


@_edit(Invariant.KEY_AFTER_NODE, f"node, bucket {ROOT}, block 0, bset 0, key 2")
def child_after_its_parent(image: Image) -> None:
    image.nodes[ROOT].bsets[0][2].low += 1


@_edit(Invariant.KEY_BEFORE_NODE, f"node, bucket {RIGHT}, block 0, bset 0, key 0")
def extent_reaches_into_the_node_before(image: Image) -> None:
    image.nodes[RIGHT].bsets[0].insert(0, image.extent(1004, 8, DATA + 50))


@_edit(Invariant.LAST_CHILD, f"node, bucket {ROOT}")
def last_child_gone(image: Image) -> None:
    del image.nodes[ROOT].bsets[0][2]


@_edit(Invariant.LAST_CHILD, f"node, bucket {ROOT}")
def all_children_gone(image: Image) -> None:
    image.nodes[ROOT].bsets = [[]]


@_edit(Invariant.LAST_CHILD, f"node, bucket {ROOT}")
def last_child_freed(image: Image) -> None:
    image.gens[RIGHT] += 1


@_edit(Invariant.DUPLICATE_CHILD, f"node, bucket {ROOT}, block 0, bset 0, key 1")
def two_children_for_the_same(image: Image) -> None:
    image.gens[FREED] += 1
    image.nodes[ROOT].bsets[0][0:1] = []
    image.nodes[ROOT].bsets[0].insert(1, image.node_key((0, 1000), FREED))
    image.nodes[FREED] = replace(image.nodes[RIGHT], key=image.node_key((0, 1000), FREED), bsets=[[]])


@_edit(Invariant.ONE_PARENT, f"node, bucket {LEFT}")
def node_with_two_parents(image: Image) -> None:
    image.nodes[ROOT].bsets[0][2] = image.node_key(END, LEFT)


@_edit(Invariant.ONE_PARENT, f"node, bucket {ROOT}")
def node_below_itself(image: Image) -> None:
    image.nodes[ROOT].bsets[0][2] = image.node_key(END, ROOT)


# Gens and what lies where


def _gen(image: Image, by: int) -> Bkey:
    """Set the gen of the pointer of the first extent of the right leaf back by so many."""
    k = image.nodes[RIGHT].bsets[0][0]
    k.ptr = [k.ptr[0] & ~0xFF | ptr_gen(k.ptr[0]) - by & 0xFF]
    return k


@_edit(Invariant.TOO_STALE, f"node, bucket {RIGHT}, block 0, bset 0, key 0")
def pointer_of_long_ago(image: Image) -> None:
    _gen(image, 97)


@_edit(Invariant.FUTURE_GEN, f"node, bucket {RIGHT}, block 0, bset 0, key 0")
def pointer_of_the_future(image: Image) -> None:
    _gen(image, -1)


@_edit(Invariant.STALE_DIRTY, f"extents, bucket {DATA + 30}")
def dirty_bucket_reused(image: Image) -> None:
    _gen(image, 1).dirty = True


@_edit(Invariant.STALE_DIRTY, "journal, entry 5")
def journal_older_than_what_was_moved(image: Image) -> None:
    image.nodes[RIGHT].bsets[0].insert(0, image.extent(1504, 8, DATA + 50, dirty=True))
    image.gens[DATA + 40] += 1


@_edit(Invariant.DATA_SHARED, "extents")
def two_extents_in_the_same_sectors(image: Image) -> None:
    image.nodes[RIGHT].bsets[0][4] = image.extent(2032, 4, DATA + 33, 4)


@_edit(Invariant.METADATA_SHARED, "extents")
def data_where_the_uuids_are(image: Image) -> None:
    image.nodes[RIGHT].bsets[0][4] = image.extent(2032, 4, UUIDS)


@_edit(Invariant.METADATA_SHARED, "extents")
def data_where_a_node_is(image: Image) -> None:
    image.nodes[RIGHT].bsets[0][4] = image.extent(2032, 4, LEFT)


@_edit(Invariant.METADATA_SHARED, f"node, bucket {PRIOS}")
def node_where_the_prios_are(image: Image) -> None:
    image.nodes[ROOT].bsets[0][1] = image.node_key((0, 1000), PRIOS)


@_edit(Invariant.METADATA_SHARED, "journal, bucket 4")
def prios_where_the_journal_is(image: Image) -> None:
    image.prio_buckets[0] = 4
    for place, jsets in enumerate(image.jsets):
        for entry in range(len(jsets)):
            _journal(image, place, entry, prio_bucket=(4, *[0] * 7))


# To be known, but no damage


@_poke(Invariant.JOURNAL_TORN, "journal, entry 7, bucket 3, block 1")
def newest_entry_torn(data: bytearray, _: Image) -> None:
    _flip(data, 3 * BUCKET + 512 + 100)


@_edit(Invariant.FORGOTTEN_DEVICE, "device 0")
def device_detached(image: Image) -> None:
    image.uuids[0] = replace(image.uuids[0], uuid=bytes.fromhex("a03ef8ed3ee1b878c850fc5ecb16cd99"))


@_edit(Invariant.STALE_DIRTY_REPLAYED, "journal, entry 5")
def journal_older_than_the_writeback(image: Image) -> None:
    image.gens[DATA + 40] += 1
