# SPDX-License-Identifier: GPL-2.0-or-later
"""The reference engine on real devices, on the running kernel: that only makes the file system.

A case has the kernel write trees, unmounts, and reads them directly from the devices: by the traditional
walk, by the engine as it was posted in 2011 and by that of 5.10, in turns. The bundle has every read and the
trees, so that judging (`harness/judge/metadata_reads.py`) needs no device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.capture.choice import READS
from harness.cases import Case, Experiment
from harness.disks import small_disk
from harness.fileops import DataMismatchError
from harness.kernels import HOST, Kernel
from harness.metadata import FileSystem, MetadataError
from harness.readahead.excerpt import Device, Excerpt
from harness.readahead.methods import Method, ReadAhead, Walk, compare
from harness.readahead.reads import Run
from harness.record.experiment import LiveExperiment
from loopdevs import BtrfsLayout, RotationalLayout, fuse_skip_reasons
from reference.ondisk import TreeId
from reference.readahead import MAX_KEY, MIN_KEY, Behaviour, Key
from suites.readahead.guest_trees import Shape, make_trees

__all__ = ["CASES"]

MIB = 1 << 20
_WALK = Walk()
_ENGINES = (ReadAhead(Behaviour.linux_5_10), ReadAhead(Behaviour.seed_2011))


@dataclass(frozen=True)
class _Reading:
    """What a case reads, and how."""

    shape: Shape
    methods: Sequence[Method] = (_WALK, *_ENGINES)
    parts: bool = False
    """Whether a range of keys is read instead of the whole of each tree."""
    repetitions: int = 1
    """How often each method reads, in turns."""
    left_out: int | None = None
    """Which device is missing, counted from 0."""
    disks: Callable[[int], RotationalLayout] | None = None
    """What the trees are put on to be read, by a device's size; None to read them where they were made."""

    def __call__(self, experiment: Experiment) -> None:
        """Run the case."""
        assert isinstance(experiment, LiveExperiment)
        filesystem = experiment.filesystem
        trees = [TreeId.EXTENT, *make_trees(experiment, self.shape)]
        experiment.step("umount", filesystem.umount)
        try:
            if self.disks is None:
                devices = [path for n, path in enumerate(filesystem.devices) if n != self.left_out]
                self._read(experiment, devices, trees)
            else:
                with experiment.on_disks(self.disks) as devices:
                    self._read(experiment, devices, trees)
        except MetadataError as error:
            # The kernel has just written this, and nobody has touched it.
            raise DataMismatchError(str(error)) from error
        experiment.step("mount", filesystem.mount)

    def _read(self, experiment: LiveExperiment, devices: Sequence[Path], trees: Sequence[int]) -> None:
        degraded = self.left_out is not None
        with FileSystem(devices, degraded=degraded) as filesystem:
            kept = _kept(filesystem, trees)
        keys = _some_keys(experiment) if self.parts else (MIN_KEY, MAX_KEY)
        runs: list[Run] = []
        for run in compare(devices, trees, self.methods, self.repetitions, keys=keys, degraded=degraded):
            experiment.step(run.method, lambda run=run: f"{len(run.reads)} reads in {run.seconds:.3f} s")
            runs.append(run)
        experiment.reads().keep(kept, runs)


def _kept(filesystem: FileSystem, trees: Sequence[int]) -> Excerpt:
    devices = [Device(devid, devid in filesystem.missing) for devid in sorted(filesystem.known)]
    roots = [filesystem.root(tree).bytenr for tree in trees]
    return Excerpt.of(filesystem, roots, devices, (KeyError, MetadataError))


def _some_keys(experiment: LiveExperiment) -> tuple[Key, Key]:
    """Return a range in which about half of the attributes of each tree's one file are."""
    first, last = experiment.rng.randrange(1 << 31), experiment.rng.randrange(1 << 31, 1 << 32)
    return Key(257, 24, first), Key(257, 24, last)


def _no_guest(kernel: Kernel) -> Sequence[str]:
    if kernel.name == HOST:
        return ()
    return ["of the kernel only the file system is used, and read past it: run it on the host"]


def _no_disks(kernel: Kernel) -> Sequence[str]:
    return _no_guest(kernel) or fuse_skip_reasons()


def _shape(zones: int, zone_mib: int, *, width: int, trees: int = 1, nodesize: int = 16384) -> Shape:
    """Return trees that are aged by rewriting alone: to remove from a file system so full takes long."""
    return Shape(nodesize, zones, zone_mib * MIB, width, trees, kept=1.0)


def _case(
    name: str,
    title: str,
    metadata: str,
    devices: int,
    reading: _Reading,
    groups: Sequence[str] = ("quick", "auto"),
    deadline_s: float = 120.0,
) -> Case:
    shape = reading.shape
    layout = BtrfsLayout(
        devices=devices,
        size_bytes=256 * MIB,
        metadata=metadata,
        mkfs_options=("-n", str(shape.nodesize)),
        room_bytes=(shape.zones + 1) * shape.zone_bytes,
    )
    return Case(
        f"readahead/{name}",
        title,
        frozenset(groups),
        layout,
        reading,
        deadline_s,
        READS,
        _no_disks if reading.disks else _no_guest,
    )


CASES: tuple[Case, ...] = (
    _case(
        "raid1",
        "walk and both engines read trees that lie in 6 zones, each on two of three devices",
        "raid1",
        3,
        _Reading(_shape(6, 6, width=2, trees=2), repetitions=2),
    ),
    _case(
        "raid10",
        "walk and both engines read trees that lie in 3 zones of four devices",
        "raid10",
        4,
        _Reading(_shape(3, 4, width=4)),
    ),
    _case(
        "raid5",
        "walk and both engines read trees in stripes with parity, on three devices",
        "raid5",
        3,
        _Reading(_shape(3, 4, width=3)),
    ),
    _case(
        "dup",
        "walk and engine of 5.10 read trees of which a device has both copies",
        "dup",
        1,
        _Reading(_shape(4, 10, width=1, nodesize=4096), (_WALK, _ENGINES[0])),
    ),
    _case(
        "ranges",
        "both engines read ranges of keys of two trees at once",
        "raid1",
        2,
        _Reading(_shape(4, 4, width=2, trees=2), _ENGINES, parts=True),
    ),
    _case(
        "missing",
        "walk and both engines read mirrored trees of which the second of two devices is missing",
        "raid1",
        2,
        _Reading(_shape(4, 4, width=2), left_out=1),
    ),
    _case(
        "rotational",
        "walk and both engines read a mirrored tree from four rotational disks, five times in turns",
        "raid1",
        4,
        _Reading(_shape(6, 4, width=2), repetitions=5, disks=small_disk),
        ("claims",),
        900.0,
    ),
)
"""Every case."""
