# SPDX-License-Identifier: GPL-2.0-or-later
"""What follows from a superblock's sizes: of nodes, tables, and which bucket a pointer points into."""

from __future__ import annotations

from dataclasses import dataclass

from reference.bcache.bkey import Bkey, ptr_dev, ptr_gen, ptr_offset
from reference.bcache.superblock import MAX_CACHES_PER_SET, PAGE_SECTORS, CacheSb

__all__ = ["BUCKET_GC_GEN_MAX", "PAGE_BYTES", "SECTOR", "Geometry", "gen_after"]

SECTOR = 512
PAGE_BYTES = 4096
MAX_ORDER_NR_PAGES = 1024
"""1 << MAX_PAGE_ORDER, on x86."""
BTREE_MAX_PAGES = 256 * 1024 // PAGE_BYTES
META_BUCKET_MAX_PAGES = min(32768 // PAGE_SECTORS, MAX_ORDER_NR_PAGES)
BUCKET_GC_GEN_MAX = 96
PRIO_SET_HEADER = 40
BUCKET_DISK = 3
UUID_ENTRY = 128


def gen_after(a: int, b: int) -> int:
    """Return by how much the gen `a` is after `b`, 0 if it is not: gens wrap around at 256 (bcache.h).

    >>> gen_after(2, 255), gen_after(255, 2)
    (3, 0)
    """
    return after if (after := a - b & 0xFF) <= 128 else 0


@dataclass(frozen=True)
class Geometry:
    """The sizes of a cache device; sectors where nothing else is said."""

    bucket_size: int
    block_size: int
    nbuckets: int
    first_bucket: int

    @classmethod
    def of(cls, sb: CacheSb) -> Geometry:
        """Return the geometry that a superblock describes."""
        return cls(sb.bucket_size, sb.block_size, sb.nbuckets, sb.first_bucket)

    @property
    def block_bytes(self) -> int:
        """The unit in which bsets and journal entries are written."""
        return self.block_size * SECTOR

    @property
    def meta_bucket_pages(self) -> int:
        """Pages of a bucket that are used for prios and uuids: `meta_bucket_pages`, bcache.h."""
        return min(self.bucket_size // PAGE_SECTORS, META_BUCKET_MAX_PAGES)

    @property
    def meta_bucket_bytes(self) -> int:
        """`meta_bucket_bytes`, bcache.h."""
        return self.meta_bucket_pages * PAGE_BYTES

    @property
    def btree_pages(self) -> int:
        """Pages of a new node: `bch_cache_set_alloc`, super.c."""
        pages = self.meta_bucket_pages
        return pages if pages <= BTREE_MAX_PAGES else max(pages // 4, BTREE_MAX_PAGES)

    @property
    def nr_uuids(self) -> int:
        """How many backing devices and volumes a set can know."""
        return self.meta_bucket_bytes // UUID_ENTRY

    @property
    def prios_per_bucket(self) -> int:
        """`prios_per_bucket`, bcache.h."""
        return (self.meta_bucket_bytes - PRIO_SET_HEADER) // BUCKET_DISK

    @property
    def prio_buckets(self) -> int:
        """How many buckets hold the prios and gens of all: `prio_buckets`, bcache.h."""
        return -(-self.nbuckets // self.prios_per_bucket)

    def bucket_of(self, ptr: int) -> int:
        """PTR_BUCKET_NR."""
        return ptr_offset(ptr) // self.bucket_size

    def blocks(self, header_bytes: int, keys: int) -> int:
        """Return how many blocks a set with a header and `keys` words takes: `__set_blocks`, bset.h."""
        return -(-(header_bytes + keys * 8) // self.block_bytes)

    def ptr_status(self, k: Bkey) -> str | None:
        """Return the kernel's word for a pointer outside of where pointers may point, None if there is none.

        `__ptr_invalid` with the words of `bch_ptr_status`, extents.c. Pointers to devices that no set has
        are not looked at, as in the kernel.
        """
        for ptr in k.ptr:
            if ptr_dev(ptr) >= MAX_CACHES_PER_SET:
                continue
            bucket, remainder = divmod(ptr_offset(ptr), self.bucket_size)
            if k.size + remainder > self.bucket_size:
                return "bad, length too big"
            if bucket < self.first_bucket:
                return "bad, short offset"
            if bucket >= self.nbuckets:
                return "bad, offset past end of device"
        return None

    def btree_ptr_status(self, k: Bkey) -> str | None:
        """Return what is wrong with a pointer to a node, None if nothing: `__bch_btree_ptr_invalid`."""
        if not k.ptrs:
            return "bad, no pointers"
        if not k.size:
            return "zeroed key"
        if k.dirty:
            return "bad, dirty"
        return self.ptr_status(k)

    def extent_status(self, k: Bkey) -> str | None:
        """Return what is wrong with an extent that has sectors, None if nothing: `__bch_extent_invalid`."""
        if k.size > k.offset:
            return "bad, begins before its device"
        return self.ptr_status(k)

    @staticmethod
    def available(ptr: int) -> bool:
        """`ptr_available`, of a set of one device."""
        return ptr_dev(ptr) < MAX_CACHES_PER_SET

    @staticmethod
    def stale(gen: int, ptr: int) -> int:
        """`ptr_stale`: by how much the bucket's `gen` is after the pointer's."""
        return gen_after(gen, ptr_gen(ptr))
