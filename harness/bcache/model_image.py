# SPDX-License-Identifier: GPL-2.0-or-later
"""A cache device made of the btree model, as the kernel would leave it on disk when it is stopped."""

from __future__ import annotations

from harness.bcache.testing import SET_UUID, Image, NodeImage
from reference.bcache.bkey import Bkey
from reference.bcache.ondisk import JSET_MAGIC, Jset, UuidEntry
from reference.bcache.structs import CacheSet
from reference.bcache.superblock import CacheSb, SbVersion

__all__ = ["image_of"]


def image_of(c: CacheSet, journal: list[Bkey], devices: int = 2) -> Image:
    """Return a device with what the nodes have written, the gens as they were written, and one journal entry.

    `journal` are the keys of that entry, which are replayed.
    """
    geometry = c.geometry
    sb = CacheSb(
        version=SbVersion.CDEV_WITH_UUID,
        uuid=bytes(range(1, 17)),
        set_uuid=SET_UUID,
        flags=1,
        nbuckets=geometry.nbuckets,
        block_size=geometry.block_size,
        raw_bucket_size=geometry.bucket_size,
        first_bucket=geometry.first_bucket,
    ).with_journal(len(c.cache.journal))
    image = Image(sb, bytearray(c.cache.disk_gens))
    image.prio_buckets = list(c.cache.prio_buckets)
    image.prio_seqs = [1] * len(image.prio_buckets)
    image.uuids = [UuidEntry(bytes([number + 1] * 16)) for number in range(devices)]
    assert c.uuid_bucket
    assert c.root
    image.uuid_bucket = geometry.bucket_of(c.uuid_bucket.ptr[0])
    for node in c.nodes.values():
        bucket = geometry.bucket_of(node.key.ptr[0])
        image.nodes[bucket] = NodeImage(node.key, node.on_disk, seq=node.seq)
    entry = Jset(
        magic=sb.set_magic ^ JSET_MAGIC,
        seq=1,
        last_seq=1,
        uuid_bucket=c.uuid_bucket,
        btree_root=c.root.key,
        btree_level=c.root.level,
        prio_bucket=(c.cache.prio_buckets[0], *[0] * 7),
        words=tuple(word for k in journal for word in k.words()),
    )
    image.jsets = [[entry]]
    return image
