# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine's structures (fs/btrfs/reada.c), and what of btrfs_device and btrfs_fs_info belongs to it.

Functions that the C runs between locks are Steps (docs/concurrency.md): a stop stands before each section
under a lock and each atomic operation; what follows up to the next stop is that section. So the locks are not
objects. Only `device_list_mutex` is: it is held across stops.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from reference.machine import Blocked, Slab, SlabObject, Steps, Stop, WaitQueue
from reference.readahead.behaviour import Behaviour
from reference.readahead.radix import RadixTreeRoot
from reference.readahead.source import Key, Node, Source

__all__ = [
    "ATOMIC",
    "READA_LOCK",
    "RE_LOCK",
    "ZONE_LOCK",
    "BtrfsDevice",
    "FsInfo",
    "Mutex",
    "Observer",
    "ReadaControl",
    "ReadaExtctl",
    "ReadaExtent",
    "ReadaZone",
    "Reads",
]

READA_LOCK = Stop("spin_lock(&fs_info->reada_lock)")
RE_LOCK = Stop("spin_lock(&re->lock)")
ZONE_LOCK = Stop("spin_lock(&zone->lock)")
ATOMIC = Stop("atomic")


class ReadaControl(SlabObject):
    """One readahead (`struct reada_control`, fs/btrfs/ctree.h)."""

    __slots__ = ("elems", "key_end", "key_start", "refcnt", "wait")

    def __init__(self, key_start: Key, key_end: Key) -> None:
        self.key_start = key_start
        self.key_end = key_end
        """Exclusive."""
        self.elems = 0
        """atomic_t: extctls with this control."""
        self.refcnt = 2
        """kref: one of who added it, one for having elements."""
        self.wait = WaitQueue("rc->wait")

    def __repr__(self) -> str:
        return f"control [{_text(self.key_start)}, {_text(self.key_end)})"


class ReadaExtctl(SlabObject):
    """That a control wants an extent (`struct reada_extctl`)."""

    __slots__ = ("generation", "rc")

    def __init__(self, rc: ReadaControl, generation: int) -> None:
        self.rc = rc
        self.generation = generation
        """The generation that the parent says the block has."""


class ReadaExtent(SlabObject):
    """A block that is to be read (`struct reada_extent`)."""

    __slots__ = ("extctl", "logical", "refcnt", "scheduled_for", "top", "zones")

    def __init__(self, logical: int, top: Key) -> None:
        self.logical = logical
        self.top = top
        """The key at which the next block of the same level begins, as the first parent said."""
        self.extctl: list[ReadaExtctl] = []
        self.refcnt = 1
        """One for each of `extctl`, one for each function that works on it."""
        self.zones: list[ReadaZone] = []
        self.scheduled_for: BtrfsDevice | None = None
        """Who reads it, from picking to hook. 5.10 has a flag instead, `scheduled`."""

    def __repr__(self) -> str:
        return f"extent {self.logical}"


class ReadaZone(SlabObject):
    """A block group on one of its devices (`struct reada_zone`)."""

    __slots__ = ("device", "devs", "elems", "end", "locked", "refcnt", "start")

    def __init__(self, start: int, end: int, device: BtrfsDevice, devs: list[BtrfsDevice]) -> None:
        self.start = start
        self.end = end
        """Last byte, inclusive."""
        self.elems = 0
        """How often it is a zone of extents; twice for one whose copies are on the same device."""
        self.locked = 0
        """Whether another device reads the same block group."""
        self.device = device
        self.devs = devs
        """The devices of all copies of the block for which it was made, `device` among them."""
        self.refcnt = 1
        """kref: one for having elements, one for being current, one for each function that works on it."""

    def __repr__(self) -> str:
        return f"zone [{self.start}, {self.end}] of device {self.device.devid}"


class BtrfsDevice:
    """The engine's part of `struct btrfs_device` (fs/btrfs/volumes.h)."""

    __slots__ = (
        "bdev",
        "devid",
        "no_reada",
        "reada_curr_zone",
        "reada_extents",
        "reada_in_flight",
        "reada_next",
        "reada_zones",
        "replace_target",
    )

    def __init__(self, devid: int, *, missing: bool = False) -> None:
        self.devid = devid
        self.bdev = not missing
        """Whether the device is there."""
        self.no_reada = False
        """BTRFS_DEV_STATE_NO_READA."""
        self.replace_target = False
        """Whether it is the target of a replace that is going on."""
        self.reada_in_flight = 0
        self.reada_next = 0
        """The read pointer: where the next extent is looked for."""
        self.reada_curr_zone: ReadaZone | None = None
        self.reada_zones: RadixTreeRoot[ReadaZone] = RadixTreeRoot()
        """By the page of their end."""
        self.reada_extents: RadixTreeRoot[ReadaExtent] = RadixTreeRoot()
        """By the page of their start; so are those of `FsInfo.reada_tree`."""

    def __repr__(self) -> str:
        return f"device {self.devid}"


class Mutex:
    """`struct mutex`, as far as one is needed here."""

    __slots__ = ("locked",)

    def __init__(self) -> None:
        self.locked = False

    def lock(self) -> Steps[None]:
        """Wait until nobody holds it, and take it (`mutex_lock`)."""
        yield Blocked(self._free, "mutex_lock(&fs_devices->device_list_mutex)")
        self.locked = True

    def unlock(self) -> None:
        """Let others have it (`mutex_unlock`)."""
        self.locked = False

    def _free(self) -> bool:
        return not self.locked


class Reads(Protocol):
    """What reads blocks, and decides when reads complete."""

    def submit(self, device: BtrfsDevice, logical: int, mirror_num: int) -> Node | int | None:
        """Read copy `mirror_num` (from 1) of the block at `logical`, which `device` has picked.

        Returns the block if it is in memory; a negative error number if the read cannot be submitted; None if
        it has been: then `btree_readahead_hook` is to be called when it completes.
        """

    def page_locked(self, logical: int) -> bool:
        """Return whether a read of the block is under way: another one waits until it is over."""


class Observer:
    """Is told what the engine does. Made for judging and for tests: the engine takes nothing from it."""

    def entered(self, function: str, *arguments: Any) -> None:
        """A function of reada.c begins, as a probe at its entry would see it; named as in 5.10's file."""

    def returned(self, function: str, result: int, *arguments: Any) -> None:
        """It is over; `result` is what the C's returns, 0 if that is nothing."""

    def queued(self, rc: ReadaControl, re: ReadaExtent) -> None:
        """`rc` wants `re` from now on."""

    def picked_zone(self, device: BtrfsDevice, zone: ReadaZone | None) -> None:
        """`device` turned to `zone`, or to none."""

    def submitted(self, device: BtrfsDevice, logical: int, mirror_num: int) -> None:
        """`device` is about to read the block at `logical`."""

    def finished(self, rc: ReadaControl, logical: int, err: int) -> None:
        """The block at `logical` was read for `rc`; `err` is 0 or a negative error number."""


class FsInfo:
    """The engine's part of `struct btrfs_fs_info` (fs/btrfs/ctree.h), and what it stands on."""

    def __init__(
        self,
        behaviour: Behaviour,
        source: Source,
        reads: Reads,
        devices: Iterable[BtrfsDevice],
        seed_devices: Iterable[Iterable[BtrfsDevice]] = (),
        observer: Observer | None = None,
    ) -> None:
        self.behaviour = behaviour
        self.source = source
        self.reads = reads
        self.observer = observer or Observer()
        self.fs_devices = list(devices)
        """In the order in which they are asked for reads (`fs_devices->devices`)."""
        self.seed_list = [list(devices) for devices in seed_devices]
        self.devices = {
            device.devid: device for devices in (self.fs_devices, *self.seed_list) for device in devices
        }
        self.device_list_mutex = Mutex()
        self.reada_tree: RadixTreeRoot[ReadaExtent] = RadixTreeRoot()
        self.readahead_workers = 0
        """Works that are queued. All are the same: `reada_start_machine_worker` is to be run."""
        self.reada_works_cnt = 0
        """5.10: works queued or running. The seed does not count them."""
        self.extents = Slab("reada_extent")
        self.zones = Slab("reada_zone")
        self.extctls = Slab("reada_extctl")
        self.controls = Slab("reada_control")

    def live_controls(self) -> list[ReadaControl]:
        """Return the controls that somebody has a reference of."""
        return [rc for rc in self.controls.leaks() if isinstance(rc, ReadaControl)]

    def __fingerprint__(self) -> object:
        """What of it changes; the source, the behaviour and who observes do not."""
        works = (self.readahead_workers, self.reada_works_cnt, self.device_list_mutex)
        slabs = (self.extents, self.zones, self.extctls, self.controls)
        return (list(self.devices.values()), self.reada_tree, self.reads, works, slabs)


def _text(key: Key) -> str:
    return f"{key.objectid} {key.type} {key.offset}"
