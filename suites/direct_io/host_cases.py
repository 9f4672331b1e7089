# SPDX-License-Identifier: GPL-2.0-or-later
"""Random direct reads of files of every kind of extent, on each profile.

A case makes the files, unmounts, reads from the devices what lies where, mounts, and makes the reads. The
bundle has what was read, what the kernel did for it and what lies where: judging needs no device.
"""

from __future__ import annotations

import fcntl
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.capture.choice import DIRECT_IO
from harness.cases import Case, Experiment
from harness.direct_io.capture import device_number
from harness.direct_io.contents import Compressed, StoredContents, compressed_key
from harness.direct_io.layout import FileId, read_contents, read_files
from harness.direct_io.needs import why_no_direct_io
from harness.direct_io.reads import make_reads
from harness.direct_io.record import DirectRead, Layout
from harness.fileops import DataMismatchError
from harness.metadata import FileSystem, MetadataError
from harness.record.experiment import LiveExperiment
from loopdevs import BtrfsLayout
from reference.direct_io.mainline import File, Volume
from reference.direct_io.mainline.page_cache import page_data
from suites.direct_io.files import Built, compressed_inline, make_donors, make_file
from suites.direct_io.requests import LONG_SHARE, damaged_reads, random_reads

__all__ = ["CASES", "PROFILES", "Made", "RandomReads", "device_stats"]

MIB = 1 << 20
BTRFS_IOC_INO_LOOKUP = 0xD0009412
FIRST_FREE_OBJECTID = 256


@dataclass(frozen=True)
class RandomReads:
    """What a case does."""

    files: int
    reads: int
    damaging: bool = False
    """Whether copies of what is read are damaged before."""
    long: float = LONG_SHARE
    """Share of reads of about 1 MiB and more."""

    def __call__(self, experiment: Experiment) -> None:
        """Run the case."""
        assert isinstance(experiment, LiveExperiment)
        made = experiment.step("make files", self._make_files, experiment)
        ids = [_file_id(built.path) for built in made.all]
        filesystem = experiment.filesystem
        experiment.step("umount", filesystem.umount)
        described = experiment.step("read devices", _described, filesystem.devices, ids, made)
        layout = described.layout
        self.spoil(experiment, layout)
        self.mount(experiment, layout)
        capture = experiment.direct_io()
        capture.begin(experiment.mount, filesystem.devices)
        reads = self.reads_of(experiment, layout)
        paths = [built.path for built in made.read]
        done: list[DirectRead] = []
        experiment.step("read", lambda: done.extend(make_reads(paths, reads, capture, filesystem)))
        layout.corruption_errs = device_stats(experiment, "corruption_errs")
        layout.read_errs = device_stats(experiment, "read_io_errs")
        experiment.step("keep", lambda: capture.keep(done, layout))

    def spoil(self, experiment: LiveExperiment, layout: Layout) -> None:
        """Do to the unmounted file system what no other copy helps against, and say so in the layout."""

    def mount(self, experiment: LiveExperiment, layout: Layout) -> None:
        """Mount it as it is to be read."""
        del layout
        experiment.step("mount", experiment.filesystem.mount)

    def reads_of(self, experiment: LiveExperiment, layout: Layout) -> list[DirectRead]:
        """Choose what is read."""
        if self.damaging:
            return damaged_reads(experiment.rng, layout, self.reads)
        return random_reads(experiment.rng, layout.files, self.reads, self.long)

    def _make_files(self, experiment: LiveExperiment) -> Made:
        donors = make_donors(experiment)
        subvolume = experiment.mount / "files"
        experiment.btrfs("subvolume", "create", subvolume)
        rng = experiment.rng
        files = [
            make_file(subvolume / f"{number}", rng, donors, nodatacow=number % 4 == 3)
            for number in range(self.files)
        ]
        files.append(compressed_inline(experiment, subvolume / "inline", donors[0]))
        snapshot = experiment.mount / "snapshot"
        experiment.btrfs("subvolume", "snapshot", "-r", subvolume, snapshot)
        shared = [Built(snapshot / built.path.name, built.image) for built in files[::3]]
        experiment.sync()
        return Made([*files, *shared], donors)


@dataclass(frozen=True)
class _Described:
    """A layout, in few words where steps are told."""

    layout: Layout

    def __str__(self) -> str:
        return f"{sum(len(file.items) for file in self.layout.files)} extents"


@dataclass(frozen=True)
class Made:
    """What there is to read."""

    read: Sequence[Built]
    donors: Sequence[Built]

    @property
    def all(self) -> list[Built]:
        """Those that are read, and those that only show what extents were made of."""
        return [*self.read, *self.donors]

    def __str__(self) -> str:
        return f"{len(self.read)} files"


def device_stats(experiment: LiveExperiment, name: str) -> dict[int, int]:
    """Return the devices' counts of errors of that name, by devid."""
    told = json.loads(experiment.btrfs("--format", "json", "device", "stats", experiment.mount))
    return {int(one["devid"]): int(one[name]) for one in told["device-stats"]}


def _file_id(path: Path) -> FileId:
    # struct btrfs_ioctl_ino_lookup_args: treeid (0: of the file), objectid, and 4080 bytes for a name.
    lookup = bytearray(struct.pack("<QQ", 0, FIRST_FREE_OBJECTID).ljust(4096, b"\0"))
    with path.open("rb") as file:
        fcntl.ioctl(file, BTRFS_IOC_INO_LOOKUP, lookup)
    return FileId(struct.unpack_from("<Q", lookup)[0], path.stat().st_ino)


def _described(devices: Sequence[Path], ids: Sequence[FileId], made: Made) -> _Described:
    return _Described(_layout(devices, ids, made))


def _layout(devices: Sequence[Path], ids: Sequence[FileId], made: Made) -> Layout:
    """Read from the devices what lies where; DataMismatchError if the files do not hold what was written."""
    try:
        with FileSystem(devices) as filesystem:
            found = read_files(filesystem, ids)
            files = [found[one] for one in ids]
            compressed = _compressed(files, made.all)
            contents = read_contents(filesystem, files, compressed)
            numbers = {
                device_number(image.path.stat().st_rdev): devid
                for devid, image in filesystem.devices.images.items()
            }
            volume = Volume(filesystem.chunks, frozenset(numbers.values()))
    except MetadataError as error:
        # The kernel has just written this, and nobody has touched it.
        raise DataMismatchError(str(error)) from error
    for file, built in zip(files, made.all, strict=True):
        _check_file(file, built, contents)
    count = len(made.read)
    return Layout(files[:count], volume, contents, numbers, inodes=[one.inode for one in ids[:count]])


def _compressed(files: Sequence[File], built: Sequence[Built]) -> dict[Compressed, bytes]:
    """Return what compressed extents were made of: files that have the whole of one tell."""
    found: dict[Compressed, bytes] = {}
    for file, one in zip(files, built, strict=True):
        for item in file.items:
            if item.compression and not item.offset and item.end - item.file_offset == item.ram_bytes:
                found[compressed_key(item)] = bytes(one.image[item.file_offset : item.end])
    return found


def _check_file(file: File, built: Built, contents: StoredContents) -> None:
    parts = page_data(file, contents, 0, file.i_size)
    data = b"".join(bytes(part) for part in parts)
    if data != built.image:
        raise DataMismatchError(f"{built.path.name}: what lies on the devices is not what was written")


def _case(
    name: str,
    profile: str,
    *,
    reads: int,
    files: int = 16,
    damaging: bool = False,
    long: float = LONG_SHARE,
    groups: Sequence[str] = ("quick", "auto"),
) -> Case:
    devices = PROFILES[profile]
    what = "direct reads of damaged files" if damaging else "random direct reads of files"
    return Case(
        f"direct_io/{name}",
        f"{what} of every kind of extent, {profile} on {devices} devices",
        frozenset(groups),
        BtrfsLayout(devices=devices, size_bytes=512 * MIB, data=profile, mount_options=("noatime",)),
        RandomReads(files, reads, damaging, long),
        120.0,
        DIRECT_IO,
        why_no_direct_io,
    )


PROFILES = {
    "single": 1,
    "dup": 1,
    "raid0": 3,
    "raid1": 2,
    "raid1c3": 3,
    "raid1c4": 4,
    "raid10": 4,
    "raid5": 3,
    "raid6": 6,
}
"""How many devices each has."""
_DAMAGED = ("single", "dup", "raid0", "raid1", "raid1c3", "raid1c4", "raid10")
"""Of RAID5 and 6, how a block is rebuilt is not modelled."""

CASES: tuple[Case, ...] = (
    *(_case(profile, profile, reads=3000) for profile in PROFILES),
    _case("long", "raid1", reads=1000, long=1.0),
    *(_case(f"damaged-{profile}", profile, reads=600, damaging=True) for profile in _DAMAGED),
    _case("data-dup", "dup", reads=900, files=7, groups=("data",)),
    _case("data-long", "single", reads=250, files=7, long=1.0, groups=("data",)),
    _case("data-raid10", "raid10", reads=900, files=7, groups=("data",)),
    *(
        _case(f"data-damaged-{profile}", profile, reads=250, files=7, damaging=True, groups=("data",))
        for profile in ("raid1c3", "raid10")
    ),
    *(_case(f"many-{profile}", profile, reads=20_000, files=40, groups=("stress",)) for profile in PROFILES),
)
"""Every case."""
