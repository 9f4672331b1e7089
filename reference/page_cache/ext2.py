# SPDX-License-Identifier: GPL-2.0-or-later
"""An ext2-like file system with one file: its size, which blocks it has, and which are free.

Direct blocks only: indirect blocks, groups and quotas change nothing for the page cache. The lowest free
block is given out first, so a block that is freed is soon another's.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from reference.machine import Interrupts, Slab, Steps, WaitQueue, note
from reference.page_cache.address_space import AddressSpace
from reference.page_cache.bio import BlockDevice

__all__ = ["BufferHead", "Inode", "Mutex", "SuperBlock", "ext2_get_block", "i_size_read", "i_size_write"]


class Mutex:
    """`struct mutex`: one holder, the others sleep."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.locked = False
        self._queue = WaitQueue(name)

    def mutex_lock(self) -> Steps[None]:
        """Take it (kernel/mutex.c)."""
        if self.locked:
            yield from self._queue.wait_event(self._free)
        self.locked = True
        note(f"mutex_lock({self.name})")

    def mutex_unlock(self) -> None:
        """Give it back (kernel/mutex.c)."""
        self.locked = False
        note(f"mutex_unlock({self.name})")
        self._queue.wake_up()

    def _free(self) -> bool:
        return not self.locked


class SuperBlock:
    """`struct super_block`: a disk of `blocks` blocks of `s_blocksize` bytes; block 0 is the boot block."""

    def __init__(self, blocks: int, block_size: int, interrupts: Interrupts) -> None:
        self.s_blocksize = block_size
        self.s_blocksize_bits = block_size.bit_length() - 1
        self.s_bdev = BlockDevice(blocks * block_size, block_size, interrupts)
        self.blocks = blocks
        self.used = {0}
        """Numbers of the blocks that are in use (the block bitmap)."""
        self.refused = 0
        """How often there was no free block."""
        self.page_slab = Slab("page")

    def new_block(self) -> int:
        """Take the lowest free block (fs/ext2/balloc.c); 0 if there is none."""
        for block in range(1, self.blocks):
            if block not in self.used:
                self.used.add(block)
                return block
        self.refused += 1
        return 0

    def free_block(self, block: int) -> None:
        """Give `block` back (fs/ext2/balloc.c)."""
        self.used.remove(block)


class Inode:
    """`struct inode` with what is ext2's: `blocks` has the number on disk of each block of the file."""

    def __init__(self, sb: SuperBlock) -> None:
        self.i_sb = sb
        self.i_blkbits = sb.s_blocksize_bits
        self.i_size = 0
        self.i_mutex = Mutex("i_mutex")
        self.i_mapping = AddressSpace(self, sb.page_slab)
        self.blocks: dict[int, int] = {}
        self.failing: Callable[[int, bool], int] = _never
        """`failing(iblock, create)` is the -errno of a look-up of a block that fails, or 0."""

    def truncate_blocks(self) -> None:
        """Free all blocks that begin at or beyond the file's end (the second half of `ext2_truncate`)."""
        size = self.i_sb.s_blocksize
        first = (self.i_size + size - 1) // size
        for iblock in sorted(block for block in self.blocks if block >= first):
            self.i_sb.free_block(self.blocks.pop(iblock))


class BufferHead:
    """What `struct buffer_head` is to `get_block`: the answer."""

    __slots__ = ("b_blocknr", "b_size", "mapped", "new")

    def __init__(self, size: int) -> None:
        self.b_size = size
        self.b_blocknr = 0
        self.mapped = False
        self.new = False


def ext2_get_block(inode: Inode, iblock: int, bh: BufferHead, create: bool) -> int:
    """Look up block `iblock` of the file, with `create` giving it one if it has none (fs/ext2/inode.c).

    Sets `bh`: mapped with its number, or not mapped, a hole. Returns 0 or -errno (-ENOSPC, or what
    `inode.failing` injects).
    """
    error = inode.failing(iblock, create)
    if error:
        return error
    block = inode.blocks.get(iblock, 0)
    if not block and create:
        block = inode.i_sb.new_block()
        if not block:
            return -errno.ENOSPC
        inode.blocks[iblock] = block
        bh.new = True
    if block:
        bh.b_blocknr = block
        bh.mapped = True
    return 0


def i_size_read(inode: Inode) -> int:
    """Return the file's size, bytes (include/linux/fs.h)."""
    return inode.i_size


def i_size_write(inode: Inode, size: int) -> None:
    """Set the file's size, bytes (include/linux/fs.h)."""
    inode.i_size = size
    note(f"i_size_write({size})")


def _never(iblock: int, create: bool) -> int:
    del iblock, create
    return 0
