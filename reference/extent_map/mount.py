# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk, one file on it, and the system calls: the whole stack of July 2007 in one piece."""

from __future__ import annotations

from reference.extent_map.behaviour import Behaviour
from reference.extent_map.ext2 import Ext2ExtentMapOperations
from reference.extent_map.make import extent_map_tree
from reference.extent_map.page_behaviour import PageBehaviour
from reference.extent_map.page_io import ExtentIo
from reference.machine import Interrupts, Steps
from reference.page_cache.ext2 import Inode, SuperBlock
from reference.page_cache.filemap import (
    do_generic_mapping_read,
    generic_file_buffered_write,
    map_read,
    map_write,
)
from reference.page_cache.truncate import invalidate_mapping_pages, truncate_inode_pages, vmtruncate
from reference.page_cache.writeback import filemap_fdatawait, filemap_fdatawrite, fsync

__all__ = ["Mount"]


class Mount:
    """One file of a file system mounted with -o extentmap; its methods are system calls, as `Steps`.

    `blocks` is the disk's size, block 0 included. Bios are due in `interrupts`. Errors are negative.
    """

    def __init__(
        self,
        interrupts: Interrupts,
        trees: Behaviour = Behaviour.corrected_rbtree,
        pages: PageBehaviour = PageBehaviour.corrected,
        *,
        block_size: int = 4096,
        blocks: int = 64,
        bits_per_long: int = 64,
    ) -> None:
        self.sb = SuperBlock(blocks, block_size, interrupts)
        self.inode = Inode(self.sb)
        self.mapping = self.inode.i_mapping
        self.tree = extent_map_tree(trees)
        self.io = ExtentIo(self.tree, self.mapping, pages, bits_per_long)
        self.a_ops = Ext2ExtentMapOperations(self.io)
        self.mapping.a_ops = self.a_ops

    def read(self, pos: int, count: int) -> Steps[bytes | int]:
        """`read(2)`: up to `count` bytes from `pos` on."""
        return do_generic_mapping_read(self.mapping, pos, count)

    def write(self, pos: int, data: bytes) -> Steps[int]:
        """`write(2)`: return how many bytes were written, or -errno."""
        yield from self.inode.i_mutex.mutex_lock()
        written = yield from generic_file_buffered_write(self.inode, pos, data, self.a_ops.truncate)
        self.inode.i_mutex.mutex_unlock()
        return written

    def truncate(self, size: int) -> Steps[int]:
        """`truncate(2)`: make the file `size` bytes long."""
        yield from self.inode.i_mutex.mutex_lock()
        ret = yield from vmtruncate(self.inode, size, self.a_ops.truncate)
        self.inode.i_mutex.mutex_unlock()
        return ret

    def map_read(self, pos: int, count: int) -> Steps[bytes | int]:
        """Load from a shared mapping."""
        return map_read(self.mapping, pos, count)

    def map_write(self, pos: int, data: bytes) -> Steps[int]:
        """Store to a shared mapping."""
        return map_write(self.mapping, pos, data)

    def fsync(self) -> Steps[int]:
        """`fsync(2)`."""
        return fsync(self.mapping)

    def writeback(self) -> Steps[int]:
        """What pdflush does: start to write dirty pages, and tell nobody."""
        return filemap_fdatawrite(self.mapping)

    def invalidate(self) -> Steps[int]:
        """Drop clean pages (drop_caches)."""
        return invalidate_mapping_pages(self.mapping)

    def evict(self) -> Steps[int]:
        """Write everything back and forget the file's pages, as umount does; 0 or -errno."""
        ret = yield from filemap_fdatawrite(self.mapping)
        waited = yield from filemap_fdatawait(self.mapping)
        yield from truncate_inode_pages(self.mapping, 0)
        return ret or waited

    def on_disk(self, pos: int, count: int) -> bytes:
        """Return what the disk has of `count` bytes of the file from `pos`, a block's beginning, on."""
        size, data = self.sb.s_blocksize, bytearray()
        for at in range(pos, pos + count, size):
            block = self.inode.blocks.get(at // size)
            data += bytes(size) if block is None else self.sb.s_bdev.data[block * size : (block + 1) * size]
        return bytes(data[:count])
