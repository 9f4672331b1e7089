# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine (`reference.readahead`) in arrays, its functions run whole: same steps, same names.

What is left out: ranges of keys, errors and missing devices, replace and removal, and what can happen only
between the steps of functions that run side by side. With those out, much follows from little: an extent is
in its trees while somebody wants it, and a zone while it has elements or is current, so nothing is counted.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reference.readahead.behaviour import MAX_IN_FLIGHT, Behaviour
from reference.readahead.machine import MAX_READS_AT_A_TIME
from reference.readahead.scale.bits import Bits, clear_bit, make_bits, next_bit, set_bit
from reference.readahead.scale.disks import Disks, submit
from reference.readahead.scale.jit import compiled_part, whole
from reference.readahead.scale.maxima import counter, first_greatest, make_maxima, set_counter
from reference.readahead.scale.trees import NONE, Trees

__all__ = ["Engine", "btree_readahead_hook", "btrfs_reada_add", "make_engine", "start_again", "work"]

MAX_CONTROLS = 8
"""A bit for each in a byte."""
MAX_DEVICES = 254

EXTENT = np.dtype(
    [
        # Which controls want it (`extctl`), and to which of them its parent gave the generation that it has.
        ("extctl", np.uint8),
        ("believed", np.uint8),
        # 0, or one more than the number of the device.
        ("scheduled_for", np.uint8),
        ("in_memory", np.bool_),
        # Whether it can be read ahead at all.
        ("fit", np.bool_),
    ]
)
"""What changes of `struct reada_extent`, and what of the block."""

ZONE = np.dtype(
    [
        ("locked", np.bool_),
        # The block whose copies are on the zone's `devs`; NONE where there is no zone.
        ("made_for", np.int32),
    ]
)
"""`struct reada_zone` without `elems`."""

DEVICE = np.dtype([("in_flight", np.int32), ("next", np.int32), ("curr_zone", np.int32)])
"""The engine's part of `struct btrfs_device`: `reada_next` is a block, `reada_curr_zone` a group or NONE."""

WORKS = np.dtype([("queued", np.int32), ("reada_works_cnt", np.int32), ("picks", np.int64)])
"""`readahead_workers`, works queued or running, and how often a zone was picked."""


class Engine(NamedTuple):
    """The engine's state."""

    trees: Trees
    extent: NDArray[Any]
    """By block."""
    reada_extents: Bits
    """By device, the blocks that are queued."""
    zone: NDArray[Any]
    """By device and group."""
    elems: NDArray[np.int32]
    """Elements of the zones of each device: those that are not locked, then those that are."""
    device: NDArray[Any]
    elems_of: NDArray[np.int64]
    """The elements of each control."""
    works: NDArray[Any]
    """One."""
    picked: NDArray[np.int32]
    """Device and group (or NONE) of the first so many picks of a zone."""
    in_flight_until_completion: bool
    respawns_after_any: bool
    max_works: int
    """-1: as many as come."""
    add_can_fail: bool
    keeps_blocks: bool


def make_engine(
    trees: Trees,
    devices: int,
    behaviour: Behaviour,
    controls: int,
    *,
    keeps_blocks: bool = True,
    picks_kept: int = 0,
) -> Engine:
    """Return an engine that has nothing to do.

    ValueError if there are more devices or controls than it can have.
    """
    if controls > MAX_CONTROLS or devices > MAX_DEVICES:
        raise ValueError(f"at most {MAX_CONTROLS} readaheads at once, on {MAX_DEVICES} devices")
    extent = np.zeros(len(trees.logical), EXTENT)
    extent["fit"] = _fit(trees, behaviour)
    groups = max(1, len(trees.group_first))
    zone = np.zeros((devices, groups), ZONE)
    zone["made_for"] = NONE
    device = np.zeros(devices, DEVICE)
    device["curr_zone"] = NONE
    return Engine(
        trees,
        extent,
        make_bits(devices, len(trees.logical)),
        zone,
        make_maxima(2 * devices, groups),
        device,
        np.zeros(controls, np.int64),
        np.zeros(1, WORKS),
        np.zeros((picks_kept, 2), np.int32),
        behaviour.in_flight_until_completion,
        behaviour.respawns_after_any,
        -1 if behaviour.max_works is None else behaviour.max_works,
        behaviour.add_can_fail,
        keeps_blocks,
    )


def _fit(trees: Trees, behaviour: Behaviour) -> NDArray[np.bool_]:
    """Return which blocks `reada_find_extent` takes.

    Their copies must not be too many, and the devices' trees must take them: no device twice, but in 5.10
    the copies of DUP.
    """
    copies = (trees.device != NONE).sum(axis=1)
    fit: NDArray[np.bool_] = (copies > 0) & (copies <= behaviour.max_mirrors) & (trees.group != NONE)
    for copy in range(1, trees.device.shape[1]):
        device, before = trees.device[:, copy], trees.device[:, :copy]
        twice = (device != NONE) & (before == device[:, None]).any(axis=1)
        if not behaviour.dup_meets_eexist:
            twice &= device != before[:, -1]
        fit &= ~twice
    return fit


@compiled_part
def btrfs_reada_add(engine: Engine, disks: Disks, now_ns: int, control: int, tree: int) -> bool:
    """Begin the readahead of a whole tree; False if it fails, because its root cannot be queued."""
    root = whole(engine.trees.root[tree])
    queued = _reada_add_block(engine, control, root, bool(engine.trees.root_believed[tree]))
    if not queued and engine.add_can_fail:
        return False
    start_again(engine, disks, now_ns)
    return True


@compiled_part
def start_again(engine: Engine, disks: Disks, now_ns: int) -> None:
    """Queue a work and let workers run."""
    _reada_start_machine(engine)
    work(engine, disks, now_ns)


@compiled_part
def work(engine: Engine, disks: Disks, now_ns: int) -> None:
    """Let workers run until none is queued."""
    works = engine.works[0]
    while works.queued:
        works.queued -= 1
        _reada_start_machine_worker(engine, disks, now_ns)


@compiled_part
def btree_readahead_hook(engine: Engine, block: int) -> None:
    """Take note that `block` has been read."""
    engine.extent[block].in_memory = engine.keeps_blocks
    for_dev = _readahead_hook(engine, block)
    if engine.in_flight_until_completion and for_dev >= 0:
        engine.device[for_dev].in_flight -= 1
    _reada_start_machine(engine)


@compiled_part
def _reada_add_block(engine: Engine, control: int, block: int, believed: bool) -> bool:
    extent = engine.extent[block]
    if not extent.fit:
        return False
    if not extent.extctl:
        _enter(engine, block)
    extent.extctl |= 1 << control
    if believed:
        extent.believed |= 1 << control
    engine.elems_of[control] += 1
    return True


@compiled_part
def _enter(engine: Engine, block: int) -> None:
    """Put an extent into its devices' trees and its zones."""
    group = whole(engine.trees.group[block])
    for copy in range(engine.trees.device.shape[1]):
        device = whole(engine.trees.device[block, copy])
        if device == NONE:
            break
        zone = engine.zone[device, group]
        if zone.made_for == NONE:
            zone.made_for = block
            zone.locked = False
        _count(engine, device, group, 1)
        set_bit(engine.reada_extents, device, block)


@compiled_part
def _leave(engine: Engine, block: int) -> None:
    """Take an extent out of its devices' trees and its zones (`reada_extent_put`)."""
    group = whole(engine.trees.group[block])
    for copy in range(engine.trees.device.shape[1]):
        device = whole(engine.trees.device[block, copy])
        if device == NONE:
            break
        clear_bit(engine.reada_extents, device, block)
        _count(engine, device, group, -1)
        _free_zone(engine, device, group)


@compiled_part
def _count(engine: Engine, device: int, group: int, difference: int) -> None:
    row = 2 * device + int(engine.zone[device, group].locked)
    set_counter(engine.elems, row, group, counter(engine.elems, row, group) + difference)


@compiled_part
def _free_zone(engine: Engine, device: int, group: int) -> None:
    """Free the zone if nothing is in it and its device does not stand in it (`kref_put`)."""
    zone = engine.zone[device, group]
    if engine.device[device].curr_zone != group and not counter(
        engine.elems, 2 * device + int(zone.locked), group
    ):
        zone.made_for = NONE


@compiled_part
def _readahead_hook(engine: Engine, block: int) -> int:
    """Queue the children that are wanted, then let go of the extent; return who had picked it."""
    extent = engine.extent[block]
    for_dev = int(extent.scheduled_for) - 1
    wanting, believed = extent.extctl, extent.believed
    extent.extctl = extent.believed = extent.scheduled_for = 0
    first = engine.trees.first_child[block]
    for slot in range(first, first + engine.trees.children[block]):
        for control in range(len(engine.elems_of)):
            if (wanting & believed) >> control & 1:
                child = whole(engine.trees.child[slot])
                _reada_add_block(engine, control, child, bool(engine.trees.believed[slot]))
    for control in range(len(engine.elems_of)):
        engine.elems_of[control] -= wanting >> control & 1
    _leave(engine, block)
    return for_dev


@compiled_part
def _reada_peer_zones_set_lock(engine: Engine, device: int, group: int, lock: bool) -> None:
    made_for = engine.zone[device, group].made_for
    for copy in range(engine.trees.device.shape[1]):
        other = whole(engine.trees.device[made_for, copy])
        if other == NONE:
            break
        if other == device:
            continue
        peer = engine.zone[other, group]
        if peer.made_for != NONE and peer.locked != lock:
            elems = counter(engine.elems, 2 * other + int(not lock), group)
            set_counter(engine.elems, 2 * other + int(not lock), group, 0)
            set_counter(engine.elems, 2 * other + int(lock), group, elems)
            peer.locked = lock


@compiled_part
def _reada_pick_zone(engine: Engine, device: int) -> bool:
    dev = engine.device[device]
    if dev.curr_zone != NONE:
        group = whole(dev.curr_zone)
        _reada_peer_zones_set_lock(engine, device, group, False)
        dev.curr_zone = NONE
        _free_zone(engine, device, group)
    group = first_greatest(engine.elems, 2 * device)
    if group == NONE:
        group = first_greatest(engine.elems, 2 * device + 1)
    _note_pick(engine, device, group)
    if group == NONE:
        return False
    dev.curr_zone = group
    dev.next = engine.trees.group_first[group]
    _reada_peer_zones_set_lock(engine, device, group, True)
    return True


@compiled_part
def _note_pick(engine: Engine, device: int, group: int) -> None:
    works = engine.works[0]
    if works.picks < len(engine.picked):
        engine.picked[works.picks, 0] = device
        engine.picked[works.picks, 1] = group
    works.picks += 1


@compiled_part
def _next_extent(engine: Engine, device: int) -> int:
    """Return what is next in the current zone, or first behind the start of a new one; NONE."""
    dev = engine.device[device]
    if dev.curr_zone == NONE and not _reada_pick_zone(engine, device):
        return NONE
    block = next_bit(engine.reada_extents, device, whole(dev.next))
    if block == NONE or engine.trees.group[block] > dev.curr_zone:
        if not _reada_pick_zone(engine, device):
            return NONE
        block = next_bit(engine.reada_extents, device, whole(dev.next))
    return block


@compiled_part
def _reada_start_machine_dev(engine: Engine, disks: Disks, now_ns: int, device: int) -> bool:
    block = _next_extent(engine, device)
    if block == NONE:
        return False
    dev, extent = engine.device[device], engine.extent[block]
    dev.next = block + 1
    if extent.scheduled_for:
        return False
    extent.scheduled_for = device + 1
    dev.in_flight += 1
    if extent.in_memory:
        _readahead_hook(engine, block)
        dev.in_flight -= 1
        return True
    if not engine.in_flight_until_completion:
        dev.in_flight -= 1
    copy = 0
    while engine.trees.device[block, copy] != device:
        copy += 1
    submit(disks, engine.trees, now_ns, block, copy)
    return True


@compiled_part
def _reada_start_machine(engine: Engine) -> None:
    works = engine.works[0]
    works.queued += 1
    works.reada_works_cnt += 1


@compiled_part
def _reada_start_machine_worker(engine: Engine, disks: Disks, now_ns: int) -> None:
    works = engine.works[0]
    if _reada_start_for_fsdevs(engine, disks, now_ns):
        for _ in range(2):
            _reada_start_machine(engine)
            if engine.max_works >= 0 and works.reada_works_cnt > engine.max_works:
                break
    works.reada_works_cnt -= 1


@compiled_part
def _reada_start_for_fsdevs(engine: Engine, disks: Disks, now_ns: int) -> bool:
    total = enqueued = 0
    while True:
        enqueued = 0
        for device in range(len(engine.device)):
            if engine.device[device].in_flight < MAX_IN_FLIGHT:
                enqueued += int(_reada_start_machine_dev(engine, disks, now_ns, device))
        total += enqueued
        if not enqueued or total >= MAX_READS_AT_A_TIME:
            break
    return bool(total if engine.respawns_after_any else enqueued)
