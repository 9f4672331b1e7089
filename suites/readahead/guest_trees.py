# SPDX-License-Identifier: GPL-2.0-or-later
"""Trees whose blocks lie in many small block groups, made by the kernel itself.

A new file system has one large block group of metadata, and reading ahead in one zone chooses nothing. Here
all space is taken by preallocated data first; then the file system grows, a few MiB on a few devices at a
time, and the kernel makes a block group of just that. An extended attribute as large as a leaf is a leaf, and
attributes of a file lie in the order of their names' checksums: in none.
"""

from __future__ import annotations

import fcntl
import os
import random
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from errno import ENOSPC
from itertools import count
from pathlib import Path

from harness.record.experiment import LiveExperiment

__all__ = ["Shape", "drop_caches", "make_trees"]

MIB = 1 << 20
LEAF_OVERHEAD = 101 + 25 + 30 + 16
"""btrfs_header, btrfs_item, btrfs_dir_item and the attribute's name, bytes."""
BATCH = 16
"""So many attributes are set in a transaction."""
PREALLOCATIONS = (64 * MIB, 16 * MIB, 4 * MIB, MIB)
BTRFS_IOC_SPACE_INFO = 0xC0109414
METADATA = 4
"""BTRFS_BLOCK_GROUP_METADATA."""
SPARE_BYTES = 3 * MIB
"""What the kernel keeps for itself of metadata (global reserve), and needs to commit."""


@dataclass(frozen=True)
class Shape:
    """How the metadata is to lie."""

    nodesize: int
    zones: int
    """Block groups to be filled."""
    zone_bytes: int
    """Size of each on each of its devices."""
    width: int
    """On how many devices a block group is."""
    trees: int = 1
    kept: float = 0.6
    """Share of the leaves that is left in the end."""


def make_trees(experiment: LiveExperiment, shape: Shape) -> list[int]:
    """Fill the mounted file system; return the ids of the trees, each with one file."""
    mount, rng = experiment.mount, experiment.rng
    data = mount / "data"
    data.mkdir()
    trees = [_tree(experiment, number) for number in range(shape.trees)]
    _take_space(data)
    experiment.sync()
    _grow(experiment, shape)
    # Out of the large block group that mkfs made, whose place data take then.
    experiment.btrfs("balance", "start", "-m", mount)
    _take_space(data)
    experiment.sync()
    leaves = _Leaves(experiment, shape, [file for _, file in trees])
    for _ in range(shape.zones - 1):
        leaves.fill()
        _grow(experiment, shape)
    leaves.fill()
    leaves.thin(shape.kept, rng)
    return [tree for tree, _ in trees]


def drop_caches() -> None:
    """Have the kernel forget every block that nobody uses."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3\n")


def _tree(experiment: LiveExperiment, number: int) -> tuple[int, Path]:
    folder = experiment.mount / f"tree-{number}"
    experiment.btrfs("subvolume", "create", folder)
    file = folder / "file"
    file.touch()
    return int(experiment.btrfs("inspect-internal", "rootid", folder)), file


def _take_space(folder: Path) -> None:
    """Preallocate until no device has room for another block group."""
    numbers = count(len(list(folder.iterdir())))
    for size in PREALLOCATIONS:
        with suppress(OSError):
            while True:
                with (folder / str(next(numbers))).open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, size)


def _grow(experiment: LiveExperiment, shape: Shape) -> None:
    """Make room for one more block group of metadata, on devices chosen by chance."""
    devices = experiment.filesystem.layout.devices
    for devid in experiment.rng.sample(range(1, devices + 1), shape.width):
        experiment.btrfs("filesystem", "resize", f"{devid}:+{shape.zone_bytes}", experiment.mount)


class _Leaves:
    """The attributes of the trees' files."""

    def __init__(self, experiment: LiveExperiment, shape: Shape, files: Sequence[Path]) -> None:
        self._experiment = experiment
        self._files = files
        self._value = bytes(shape.nodesize - LEAF_OVERHEAD)
        self._names: list[tuple[Path, str]] = []

    def fill(self) -> None:
        """Set attributes, and some of the earlier ones anew, until little is left of the metadata's space."""
        rng = self._experiment.rng
        while _free(self._experiment.mount) > SPARE_BYTES:
            for _ in range(BATCH):
                again = self._names and rng.random() < 0.25
                file, name = rng.choice(self._names) if again else self._new(rng)
                try:
                    os.setxattr(file, name, self._value)
                except OSError as error:
                    if error.errno != ENOSPC:
                        raise
                    return
            self._experiment.sync()

    def thin(self, kept: float, rng: random.Random) -> None:
        """Remove attributes by chance."""
        for number, (file, name) in enumerate(self._names):
            if rng.random() >= kept:
                with suppress(OSError):
                    os.removexattr(file, name)
            if number % (4 * BATCH) == 0:
                self._experiment.sync()
        self._experiment.sync()

    def _new(self, rng: random.Random) -> tuple[Path, str]:
        made = rng.choice(self._files), f"user.{len(self._names):06}"
        self._names.append(made)
        return made


def _free(mount: Path) -> int:
    """Return how many bytes of the metadata's block groups are free (`btrfs_ioctl_space_info`)."""
    slots = 16
    arguments = bytearray(struct.pack("=QQ", slots, 0) + bytes(24 * slots))
    folder = os.open(mount, os.O_RDONLY)
    try:
        fcntl.ioctl(folder, BTRFS_IOC_SPACE_INFO, arguments)
    finally:
        os.close(folder)
    found = struct.unpack_from("=Q", arguments, 8)[0]
    spaces = [struct.unpack_from("=QQQ", arguments, 16 + 24 * number) for number in range(found)]
    return sum(total - used for flags, total, used in spaces if flags & METADATA)
