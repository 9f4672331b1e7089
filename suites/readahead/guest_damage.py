# SPDX-License-Identifier: GPL-2.0-or-later
"""What cases do to the devices of an unmounted file system, so that readaheads meet errors."""

from __future__ import annotations

import fcntl
import os
import random
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.errors import InfrastructureError
from harness.metadata import FileSystem, tree_blocks
from harness.record.experiment import LiveExperiment
from reference.ondisk.csum import BTRFS_CSUM_SIZE
from reference.readahead import Node

__all__ = ["bad_sums", "cut_short", "one_missing", "other_generations"]

LOOP_SET_CAPACITY = 0x4C07
GENERATION_AT = 80
"""Of `generation` in `struct btrfs_header`."""


def bad_sums(experiment: LiveExperiment, trees: Sequence[int]) -> Sequence[Path]:
    """Spoil copies of nodes and leaves: of some one copy, of some every one."""
    rng = experiment.rng
    with FileSystem(experiment.filesystem.devices) as filesystem:
        for node in _chosen(filesystem, trees, rng):
            mirrors = filesystem.copies.mirrors(node.bytenr)
            for mirror in mirrors if rng.random() < 0.3 else [rng.choice(mirrors)]:
                block = bytearray(filesystem.copies.read(node.bytenr, mirror))
                block[len(block) // 2] ^= 0xFF
                _write(filesystem, node.bytenr, mirror, block)
    return ()


def other_generations(experiment: LiveExperiment, trees: Sequence[int]) -> Sequence[Path]:
    """Give nodes, in every copy, a generation that is not the one that their parents say."""
    with FileSystem(experiment.filesystem.devices) as filesystem:
        for node in _chosen(filesystem, trees, experiment.rng):
            for mirror in filesystem.copies.mirrors(node.bytenr):
                block = bytearray(filesystem.copies.read(node.bytenr, mirror))
                struct.pack_into("<Q", block, GENERATION_AT, node.generation - 1)
                sum_ = filesystem.rules.csum_type.digest(bytes(block[BTRFS_CSUM_SIZE:]))
                block[: len(sum_)] = sum_
                _write(filesystem, node.bytenr, mirror, block)
    return ()


def cut_short(experiment: LiveExperiment) -> None:
    """Have reads of the last two thirds of the block groups on the first device fail: it ends before them."""
    filesystem = experiment.filesystem
    layout = filesystem.layout
    if not filesystem.backing_files:
        raise InfrastructureError("only a loop device can be cut short: run without --guest-devices drives")
    os.truncate(filesystem.backing_files[0], layout.device_bytes - layout.room_bytes * 2 // 3)
    with filesystem.devices[0].open("rb") as device:
        fcntl.ioctl(device, LOOP_SET_CAPACITY)


def one_missing(experiment: LiveExperiment, _trees: Sequence[int]) -> Sequence[Path]:
    """Have a device missing that is not the first."""
    return (experiment.rng.choice(experiment.filesystem.devices[1:]),)


def _chosen(filesystem: FileSystem, trees: Iterable[int], rng: random.Random) -> list[Node]:
    """Return a few nodes and leaves of each tree, but no root: without it there is no tree."""
    chosen: list[Node] = []
    for tree in trees:
        _root, *others = tree_blocks(filesystem, filesystem.root(tree))
        nodes = [node for node in others if node.level]
        leaves = [node for node in others if not node.level]
        chosen += rng.sample(nodes, min(len(nodes), 1 + len(nodes) // 8))
        chosen += rng.sample(leaves, min(len(leaves), 1 + len(leaves) // 16))
    return chosen


def _write(filesystem: FileSystem, bytenr: int, mirror: int, block: bytes | bytearray) -> None:
    mapping = filesystem.map_block(bytenr)
    assert mapping is not None
    stripe = mapping.stripes[mirror - 1]
    with filesystem.devices.images[stripe.devid].path.open("r+b") as device:
        device.seek(stripe.physical)
        device.write(block)
        device.flush()
        os.fsync(device.fileno())
