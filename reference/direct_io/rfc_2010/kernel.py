# SPDX-License-Identifier: GPL-2.0-or-later
"""What the patch calls of the kernel around it: locks, memory, extent maps, devices, workers."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from reference.direct_io.rfc_2010.behaviour import Behaviour
from reference.direct_io.rfc_2010.bio import Bio, BlockDevice
from reference.direct_io.rfc_2010.memory import Page, UserMemory
from reference.direct_io.rfc_2010.structs import BtrfsDiocb, ExtentMap, Limits
from reference.direct_io.source import ExtentType, FileExtent, Source
from reference.machine import Blocked, Bug, Machine, Slab, Steps

__all__ = ["Faults", "IoTree", "Kernel", "SubmittedBio"]


class SubmittedBio(NamedTuple):
    """A bio as a block trace shows it."""

    devid: int
    physical: int
    length: int


@dataclass(frozen=True)
class Faults:
    """What fails besides devices."""

    allocations: frozenset[int] = frozenset()
    """Which allocations, counted from 1, find no memory."""
    ordered_error: int = 0
    """What waiting for ordered extents returns (`btrfs_wait_ordered_range`): 0 or -errno."""


class IoTree:
    """The locked ranges of the inode's io_tree; ends are inclusive, as in the C."""

    def __init__(self) -> None:
        self.locked: list[tuple[int, int]] = []

    def lock_extent(self, start: int, end: int) -> Steps[None]:
        """Lock a range as soon as nothing of it is locked (fs/btrfs/extent_io.c)."""
        yield Blocked(lambda: not self._overlaps(start, end), f"lock_extent({start}, {end})")
        self.locked.append((start, end))

    def unlock_extent(self, start: int, end: int) -> None:
        """Unlock a range. Raises Bug where it is not locked: the C takes another's lock away."""
        if not self.holds(start, end):
            raise Bug(f"unlocks [{start}, {end}], of which not all is locked")
        kept = []
        for first, last in self.locked:
            if first < start:
                kept.append((first, min(last, start - 1)))
            if last > end:
                kept.append((max(first, end + 1), last))
        self.locked = kept

    def holds(self, start: int, end: int) -> bool:
        """Return whether all of a range is locked."""
        held = sum(max(0, min(last, end) - max(first, start) + 1) for first, last in self.locked)
        return held == end - start + 1

    def _overlaps(self, start: int, end: int) -> bool:
        return any(first <= end and start <= last for first, last in self.locked)


@dataclass(eq=False)
class Kernel:
    """One file of one file system, and one user's memory."""

    machine: Machine
    source: Source
    memory: UserMemory
    behaviour: Behaviour = Behaviour.corrected
    limits: Limits = field(default_factory=Limits)
    faults: Faults = field(default_factory=Faults)
    i_size: int = 0
    """Set from the source; what truncates changes it."""
    pid: int = 0
    """Of whoever submits: `current->pid`."""

    def __post_init__(self) -> None:
        self.i_size = self.source.i_size
        self.io_tree = IoTree()
        self.i_mutex_locked = False
        self.pages = Slab("temporary page")
        self.bios = Slab("bio")
        self.diocbs = Slab("diocb")
        self.extcbs = Slab("extcb")
        self.ems = Slab("extent_map")
        self.submitted: list[SubmittedBio] = []
        self.copied = 0
        """Bytes that the CPU copied or inflated into the user's memory."""
        self.log: list[str] = []
        """printk."""
        self.completed: list[int] = []
        """What `aio_complete` was told."""
        self.workers = 0
        self._allocations = 0

    # Memory

    def memory_left(self) -> bool:
        """Take one allocation's turn; False if it fails."""
        self._allocations += 1
        return self._allocations not in self.faults.allocations

    def alloc_page(self) -> Page | None:
        """Allocate a temporary page (`alloc_page`)."""
        return Page(self.pages) if self.memory_left() else None

    # Locks and tasks

    def mutex_lock(self) -> Steps[None]:
        """Take i_mutex."""
        yield Blocked(lambda: not self.i_mutex_locked, "mutex_lock(&inode->i_mutex)")
        self.i_mutex_locked = True

    def mutex_unlock(self) -> None:
        """Release i_mutex."""
        self.i_mutex_locked = False

    def queue_worker(self, name: str, work: Steps[None]) -> None:
        """Let a worker thread do `work` (`btrfs_queue_worker`)."""
        self.workers += 1
        self.machine.task(f"{name} {self.workers}", work)

    # The file system

    def get_extent(self, start: int, length: int) -> ExtentMap | int:
        """Return the map of what is at `start`, or ERR_PTR (`btrfs_get_extent`, fs/btrfs/inode.c).

        A map is one item: neighbours are not merged, as 2.6.33 may do with those that it has in memory.
        """
        item = self.source.extent_at(start)
        if isinstance(item, int):
            return item
        if item is None:
            em = ExtentMap(start, length, item=None, chunk=None)
        else:
            em = ExtentMap(item.file_offset, self._covered(item), item=item, chunk=None)
            em.orig_start -= item.offset
        self.ems.born(em)
        return em

    def lookup_extent_mapping(self, logical: int) -> ExtentMap:
        """Return the map of the chunk with `logical` (fs/btrfs/extent_map.c)."""
        chunk = self.source.chunk_at(logical)
        em = ExtentMap(chunk.start, chunk.length, item=None, chunk=chunk)
        self.ems.born(em)
        return em

    def free_extent_map(self, em: ExtentMap) -> None:
        """Drop the reference."""
        self.ems.died(em)

    @staticmethod
    def _covered(item: FileExtent) -> int:
        """Return `len` of its map: inline data fill their block."""
        if item.type is ExtentType.INLINE:
            return -(-item.ram_bytes // 4096) * 4096
        return item.num_bytes

    # Devices

    def stripe_bdev(self, em: ExtentMap, index: int) -> BlockDevice | None:
        """Return the block device of a stripe, None if it is missing (`btrfs_map_stripe_bdev`)."""
        assert em.chunk is not None
        devid = em.chunk.stripes[index].devid
        device = self.source.devices.get(devid)
        return None if device is None else BlockDevice(devid, device)

    def bio_alloc(
        self,
        vecs: int,
        bdev: BlockDevice,
        sector: int,
        private: object,
        end_io: Callable[[Bio, int], Steps[None]],
    ) -> Bio | None:
        """Allocate a bio."""
        return Bio(self.bios, vecs, bdev, sector, private, end_io) if self.memory_left() else None

    def submit_bio(self, bio: Bio) -> None:
        """Send a bio on its way: its completion is an interrupt that is due."""
        self.bios.check(bio)
        physical = bio.bi_sector << 9
        self.submitted.append(SubmittedBio(bio.bi_bdev.devid, physical, bio.bi_size))
        name = f"bio {len(self.submitted)} device {bio.bi_bdev.devid} at {physical} +{bio.bi_size}"
        self.machine.interrupts.raise_irq(name, self._complete(bio))

    def _complete(self, bio: Bio) -> Steps[None]:
        """Transfer, then tell the submitter (`bio_endio`)."""
        self.bios.check(bio)
        data = bio.bi_bdev.device.read(bio.bi_sector << 9, bio.bi_size)
        if data is None:
            bio.uptodate = False
            yield from bio.bi_end_io(bio, -errno.EIO)
            return
        at = 0
        for vec in bio.bi_io_vec:
            vec.bv_page.slab.check(vec.bv_page)
            vec.bv_page.data[vec.bv_offset : vec.bv_offset + vec.bv_len] = data[at : at + vec.bv_len]
            at += vec.bv_len
        yield from bio.bi_end_io(bio, 0)

    def aio_complete(self, diocb: BtrfsDiocb, done: int) -> None:
        """Tell the user what an asynchronous read returns."""
        self.diocbs.check(diocb)
        self.completed.append(done)
