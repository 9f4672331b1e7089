# SPDX-License-Identifier: GPL-2.0-or-later
"""Trees whose blocks lie in many small block groups, made by the kernel itself.

A new file system has one large block group of metadata, and reading ahead in one zone chooses nothing. Here
all space is taken first, by preallocated data and by a tree that nobody will read; then the file system
grows, a few MiB on a few devices at a time, and the kernel makes a block group of just that. An extended
attribute as large as a leaf is a leaf, and attributes of a file lie in the order of their names' checksums.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import ENOSPC
from itertools import count
from pathlib import Path
from typing import NamedTuple

from harness.errors import InfrastructureError
from harness.record.experiment import LiveExperiment

__all__ = ["Shape", "drop_caches", "make_trees"]

MIB = 1 << 20
LEAF_OVERHEAD = 101 + 25 + 30 + 16
"""btrfs_header, btrfs_item, btrfs_dir_item and the attribute's name, bytes."""
LEAST = 16
"""So many attributes are set in a transaction, or more."""
TRIES = 50
REFUSALS = 5
"""Recent kernels (6.18) refuse attributes though there is space, and take them after the commit."""
PREALLOCATIONS = (64 * MIB, 16 * MIB, 4 * MIB, MIB)
BTRFS_IOC_SYNC = 0x9408
BTRFS_IOC_SPACE_INFO = 0xC0109414
METADATA = 4
"""BTRFS_BLOCK_GROUP_METADATA."""
SPARE_NODES = 256
"""What the kernel keeps for itself of metadata (global reserve), and needs to commit: at least 3 MiB."""


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
    mount = experiment.mount
    data = mount / "data"
    data.mkdir()
    others = _tree(experiment, "others")[1]
    trees = [_tree(experiment, f"tree-{number}") for number in range(shape.trees)]
    _take_space(data)
    experiment.sync()
    _Leaves(experiment, shape, [others]).fill()
    leaves = _Leaves(experiment, shape, [file for _, file in trees])
    for _ in range(shape.zones):
        before = _space(mount).total
        _grow(experiment, shape)
        leaves.fill_new(before)
    leaves.thin(shape.kept)
    return [tree for tree, _ in trees]


def drop_caches() -> None:
    """Have the kernel forget every block that nobody uses and that is written."""
    Path("/proc/sys/vm/drop_caches").write_text("1\n")


def _tree(experiment: LiveExperiment, name: str) -> tuple[int, Path]:
    folder = experiment.mount / name
    experiment.btrfs("subvolume", "create", folder)
    file = folder / "file"
    file.touch()
    return int(experiment.btrfs("inspect-internal", "rootid", folder)), file


def _take_space(folder: Path) -> None:
    """Preallocate until no device has room for another block group."""
    numbers = count()
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
        self._spare = max(3 * MIB, SPARE_NODES * shape.nodesize)
        self._nodesize = shape.nodesize
        self._names: list[tuple[Path, str]] = []

    def fill(self) -> None:
        """Set attributes, and some of the earlier ones anew, until little is left of the metadata's space."""
        refused = 0
        while (free := _space(self._experiment.mount).free) > self._spare and refused < REFUSALS:
            refused = 0 if self._set_some(free) else refused + 1

    def fill_new(self, before: int) -> None:
        """Do so when there is a new block group, of which there are `before` bytes without it.

        The kernel makes it only when it must, and recent ones take it away again if a transaction ends
        before something lies in it.
        """
        for _ in range(TRIES):
            self._set_some(self._spare)
            if _space(self._experiment.mount).total > before:
                self.fill()
                if _space(self._experiment.mount).total > before:
                    return
        raise InfrastructureError("the kernel makes or keeps no block group of metadata, though it has room")

    def _set_some(self, free: int) -> bool:
        """Do so in one transaction, as far as `free` bytes allow; return whether there was room for all."""
        try:
            for _ in range(max(LEAST, (free - self._spare) // self._nodesize // 4)):
                os.setxattr(*self._next(), self._value)
        except OSError as error:
            if error.errno != ENOSPC:
                raise
            return False
        finally:
            _commit(self._experiment.mount)
        return True

    def _next(self) -> tuple[Path, str]:
        rng = self._experiment.rng
        if self._names and rng.random() < 0.25:
            return rng.choice(self._names)
        self._names.append((rng.choice(self._files), f"user.{len(self._names):06}"))
        return self._names[-1]

    def thin(self, kept: float) -> None:
        """Remove attributes by chance."""
        rng = self._experiment.rng
        for number, (file, name) in enumerate(self._names):
            if rng.random() >= kept:
                with suppress(OSError):
                    os.removexattr(file, name)
            if number % (2 * LEAST) == 0:
                _commit(self._experiment.mount)
        self._experiment.sync()


def _commit(mount: Path) -> None:
    """Commit the transaction, without starting a tool for it."""
    with _folder(mount) as folder:
        fcntl.ioctl(folder, BTRFS_IOC_SYNC)


class _Space(NamedTuple):
    """Of the metadata's block groups, bytes."""

    total: int
    free: int


def _space(mount: Path) -> _Space:
    """Ask the kernel (`btrfs_ioctl_space_info`)."""
    slots = 16
    arguments = bytearray(struct.pack("=QQ", slots, 0) + bytes(24 * slots))
    with _folder(mount) as folder:
        fcntl.ioctl(folder, BTRFS_IOC_SPACE_INFO, arguments)
    found = struct.unpack_from("=Q", arguments, 8)[0]
    spaces = [struct.unpack_from("=QQQ", arguments, 16 + 24 * number) for number in range(found)]
    metadata = [(total, used) for flags, total, used in spaces if flags & METADATA]
    return _Space(sum(total for total, _ in metadata), sum(total - used for total, used in metadata))


@contextmanager
def _folder(path: Path) -> Iterator[int]:
    folder = os.open(path, os.O_RDONLY)
    try:
        yield folder
    finally:
        os.close(folder)
