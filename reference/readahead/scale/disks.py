# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks in virtual time (`reference.disks`) in arrays: several of one make, with the host's queues."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reference.disks import SATA_7200_2011, SATA_SSD_2011, Policy, RotationalConstants, SsdConstants
from reference.readahead.scale.bits import Bits, clear_bit, make_bits, next_bit, set_bit
from reference.readahead.scale.jit import compiled_part, whole
from reference.readahead.scale.mechanism import MEDIA, Mechanisms, access, make_mechanisms, position, read
from reference.readahead.scale.trees import NONE, Trees

__all__ = ["NEVER", "Disks", "complete", "first_due", "make_disks", "submit"]

NEVER = 2**62
"""Later than all times."""
FIFO, C_LOOK, SHORTEST = range(3)
_POLICIES = {Policy.FIFO: FIFO, Policy.C_LOOK: C_LOOK, Policy.SHORTEST: SHORTEST}

REQUEST = np.dtype(
    [
        ("submitted_ns", np.int64),
        ("started_ns", np.int64),
        ("ended_ns", np.int64),
        ("block", np.int32),
        # Counts the requests to its disk.
        ("number", np.int32),
        # The one behind it in a queue in which it is.
        ("next", np.int32),
        ("disk", np.int16),
        ("copy", np.uint8),
        # MEMORY, STREAM or MEDIA.
        ("way", np.uint8),
    ]
)
"""A read. All are kept, in the order in which they were submitted: a trace."""

DISK = np.dtype(
    [
        ("submitted", np.int32),
        # Requests in the host, and in the drive without the one that is served.
        ("in_host", np.int32),
        ("in_drive", np.int32),
        # What a rotational disk serves, or NONE; what a solid-state disk will be done with next.
        ("active", np.int32),
        # The rank behind the host's last request to the drive; where the drive's last one ended, bytes.
        ("given_rank", np.int32),
        ("served_behind", np.int64),
        # The queue in order of coming: of the host, or of all that a solid-state disk has.
        ("first", np.int32),
        ("last", np.int32),
        ("bus_free_ns", np.int64),
    ]
)


class Solid(NamedTuple):
    """What a solid-state disk calculates with, and when its parts are free."""

    flash_ns: int
    transfer_ns: int
    channels: NDArray[np.int64]
    """By disk and channel."""
    ends: NDArray[np.int64]
    """By disk, when the last requests are done, as many as a disk takes; by number modulo that."""


class Disks(NamedTuple):
    """All disks, their queues and their requests."""

    rotational: bool
    host: int
    drive: int
    queue_depth: int
    nbytes: int
    disk: NDArray[Any]
    mechanisms: Mechanisms
    solid: Solid
    in_drive: NDArray[np.int32]
    """By disk, requests in no order."""
    waiting: Bits
    """By disk, what waits in the host for C-LOOK, as ranks of places."""
    rank: NDArray[np.int32]
    """Of each copy of each block, its rank among all on its disk."""
    at_rank: NDArray[np.int32]
    """By disk and rank, the block that is there."""
    request: NDArray[Any]
    requests: NDArray[np.int64]
    """One: how many requests there were."""
    request_of: NDArray[np.int32]
    """By block, its last request."""


def make_disks(
    constants: RotationalConstants | SsdConstants,
    disks: int,
    trees: Trees,
    nbytes: int,
    requests: int,
    *,
    host: Policy = Policy.C_LOOK,
    drive: Policy = Policy.SHORTEST,
    queue_depth: int | None = None,
) -> Disks:
    """Return `disks` disks that have done nothing, for at most so many requests of `nbytes`.

    ValueError if a block is not on its disk, or for a host that would have to know where platters are.
    """
    if host is Policy.SHORTEST:
        raise ValueError("a host does not know where the platters are: take fifo or c-look")
    if (trees.physical.max(initial=0)) + nbytes > constants.capacity:
        raise ValueError(f"the trees do not fit on {constants.name}: enlarge the disk")
    rotational = isinstance(constants, RotationalConstants)
    depth = constants.queue_depth if queue_depth is None else queue_depth
    rank, at_rank = _ranks(trees, disks)
    disk = np.zeros(disks, DISK)
    for name in ("active", "first", "last"):
        disk[name] = NONE
    spinning = constants if isinstance(constants, RotationalConstants) else SATA_7200_2011
    return Disks(
        rotational,
        _POLICIES[host],
        _POLICIES[drive],
        depth,
        nbytes,
        disk,
        make_mechanisms(spinning, disks, nbytes),
        _make_solid(
            SATA_SSD_2011 if isinstance(constants, RotationalConstants) else constants, disks, depth, nbytes
        ),
        np.zeros((disks, depth), np.int32),
        make_bits(disks, at_rank.shape[1]),
        rank,
        at_rank,
        np.zeros(requests, REQUEST),
        np.zeros(1, np.int64),
        np.full(len(trees.logical), NONE, np.int32),
    )


def _make_solid(constants: SsdConstants, disks: int, depth: int, nbytes: int) -> Solid:
    transfer_ns = max(constants.command_ns, nbytes * 1_000_000_000 // constants.bus_bytes_per_s)
    channels = np.zeros((disks, constants.channels), np.int64)
    return Solid(constants.flash_ns, transfer_ns, channels, np.zeros((disks, depth), np.int64))


def _ranks(trees: Trees, disks: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the rank of each copy by its place on its disk, and what is at each rank of each disk."""
    rank = np.full(trees.device.shape, NONE, np.int32)
    found = []
    for disk in range(disks):
        block, copy = np.nonzero(trees.device == disk)
        order = np.argsort(trees.physical[block, copy], kind="stable")
        block, copy = block[order].astype(np.int32), copy[order].astype(np.int8)
        rank[block, copy] = np.arange(len(order), dtype=np.int32)
        found.append(block)
    at_rank = np.full((disks, max(1, *(len(blocks) for blocks in found))), NONE, np.int32)
    for disk, blocks in enumerate(found):
        at_rank[disk, : len(blocks)] = blocks
    return rank, at_rank


@compiled_part
def submit(disks: Disks, trees: Trees, now_ns: int, block: int, copy: int) -> None:
    """Ask for a read of a copy of `block`."""
    index = disks.requests[0]
    if index == len(disks.request):
        raise OverflowError("more reads than were expected")
    disks.requests[0] += 1
    device = whole(trees.device[block, copy])
    disk, request = disks.disk[device], disks.request[index]
    disks.request_of[block] = index
    request.submitted_ns = now_ns
    request.block, request.disk, request.copy = block, device, copy
    request.number = disk.submitted
    disk.submitted += 1
    if disks.rotational:
        _put(disks, device, index)
        _go_on(disks, trees, device, now_ns)
    else:
        _submit_solid(disks, device, index, now_ns)


@compiled_part
def _due(disks: Disks, device: int) -> int:
    """Return when the next request of a disk will be done; NEVER if there is none."""
    active = disks.disk[device].active if disks.rotational else disks.disk[device].first
    return NEVER if active == NONE else int(disks.request[active].ended_ns)


@compiled_part
def first_due(disks: Disks) -> tuple[int, int]:
    """Return when and on which disk a request is done next; of several at once, on the first."""
    first_ns, first = NEVER, 0
    for device in range(len(disks.disk)):
        due_ns = _due(disks, device)
        if due_ns < first_ns:
            first_ns, first = due_ns, device
    return first_ns, first


@compiled_part
def complete(disks: Disks, trees: Trees, device: int) -> int:
    """Let time come to when a disk is done with its next request, and return that."""
    disk = disks.disk[device]
    if not disks.rotational:
        return _take_first(disks, device)
    index = whole(disk.active)
    request = disks.request[index]
    disk.active = NONE
    disk.served_behind = trees.physical[request.block, request.copy] + disks.nbytes
    _go_on(disks, trees, device, request.ended_ns)
    return index


@compiled_part
def _submit_solid(disks: Disks, device: int, index: int, now_ns: int) -> None:
    solid, disk, request = disks.solid, disks.disk[device], disks.request[index]
    channels, ends = solid.channels[device], solid.ends[device]
    channel = np.argmin(channels)
    slot = request.number % len(ends)
    request.started_ns = max(now_ns, ends[slot], channels[channel])
    channels[channel] = request.started_ns + solid.flash_ns
    disk.bus_free_ns = max(channels[channel], disk.bus_free_ns) + solid.transfer_ns
    request.ended_ns = ends[slot] = disk.bus_free_ns
    request.way = MEDIA
    _put_last(disks, device, index)


@compiled_part
def _put_last(disks: Disks, device: int, index: int) -> None:
    disk = disks.disk[device]
    disks.request[index].next = NONE
    if disk.last == NONE:
        disk.first = index
    else:
        disks.request[disk.last].next = index
    disk.last = index


@compiled_part
def _take_first(disks: Disks, device: int) -> int:
    disk = disks.disk[device]
    index = whole(disk.first)
    disk.first = disks.request[index].next
    if disk.first == NONE:
        disk.last = NONE
    return index


@compiled_part
def _put(disks: Disks, device: int, index: int) -> None:
    """Let a request wait in the host."""
    disks.disk[device].in_host += 1
    if disks.host == FIFO:
        _put_last(disks, device, index)
    else:
        request = disks.request[index]
        set_bit(disks.waiting, device, whole(disks.rank[request.block, request.copy]))


@compiled_part
def _take(disks: Disks, device: int) -> int:
    """Take out of the host's queue who is next."""
    disk = disks.disk[device]
    disk.in_host -= 1
    if disks.host == FIFO:
        return _take_first(disks, device)
    rank = next_bit(disks.waiting, device, whole(disk.given_rank))
    if rank == NONE:
        rank = next_bit(disks.waiting, device, 0)
    clear_bit(disks.waiting, device, rank)
    return whole(disks.request_of[disks.at_rank[device, rank]])


@compiled_part
def _go_on(disks: Disks, trees: Trees, device: int, now_ns: int) -> None:
    disk = disks.disk[device]
    while disk.in_host and disk.in_drive + int(disk.active != NONE) < disks.queue_depth:
        index = _take(disks, device)
        request = disks.request[index]
        disk.given_rank = disks.rank[request.block, request.copy] + 1
        disks.in_drive[device, disk.in_drive] = index
        disk.in_drive += 1
    if disk.active == NONE and disk.in_drive:
        place = _pick(disks, trees, device, now_ns)
        index = whole(disks.in_drive[device, place])
        disk.in_drive -= 1
        disks.in_drive[device, place] = disks.in_drive[device, disk.in_drive]
        request = disks.request[index]
        disk.active = index
        request.started_ns = now_ns
        request.ended_ns, request.way = read(
            disks.mechanisms, device, now_ns, trees.physical[request.block, request.copy]
        )


@compiled_part
def _pick(disks: Disks, trees: Trees, device: int, now_ns: int) -> int:
    """Return which request in the drive is served next, of those that are equally good the oldest."""
    disk = disks.disk[device]
    best, best_number, best_place = NEVER, NEVER, 0
    where = position(disks.mechanisms, device, now_ns)
    for place in range(disk.in_drive):
        request = disks.request[disks.in_drive[device, place]]
        byte = int(trees.physical[request.block, request.copy])
        rank = 0
        if disks.drive == C_LOOK:
            # Those in front of where the last one ended come after all that are behind it.
            rank = byte if byte >= disk.served_behind else byte + NEVER // 2
        elif disks.drive == SHORTEST:
            rank = access(disks.mechanisms, device, now_ns, where, byte)[0]
        if rank < best or (rank == best and request.number < best_number):
            best, best_number, best_place = rank, int(request.number), place
    return best_place
