# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads of file systems of which something is bad.

Copies that are corrupt or that devices cannot read, devices that are missing, checksums that are wrong in the
tree, compressed data that cannot be inflated. Each read is predicted, as in all cases of this suite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from harness.capture.choice import DIRECT_IO
from harness.cases import Case
from harness.direct_io.damage import Damage
from harness.direct_io.needs import why_no_direct_io
from harness.direct_io.record import DirectRead, Layout
from harness.direct_io.spoil import break_streams, spoil_sums
from harness.kernels import HOST, Kernel
from harness.metadata import FileSystem
from harness.record.experiment import LiveExperiment
from loopdevs import BtrfsLayout, fuse_skip_reasons
from reference.direct_io.mainline import File
from reference.direct_io.source import Compression, ExtentType, FileExtent
from suites.direct_io.cases import PROFILES, RandomReads
from suites.direct_io.fault_requests import FaultyReads

__all__ = ["CASES"]

MIB = 1 << 20
BLOCK = 4096
CORRUPT = (Damage.CORRUPT,)
ALL = (Damage.CORRUPT, Damage.UNREADABLE, Damage.BROKEN)
METADATA = {"single": "dup", "dup": "dup", "raid0": "raid1", "raid1": "raid1", "raid5": "raid1"}
"""Profile of the trees by that of data: no missing device may take them away. RAID1C3 if not here."""


@dataclass(frozen=True)
class _Faults:
    """What is bad."""

    kinds: Sequence[Damage] = CORRUPT
    """What is done to copies before reads."""
    missing: int = 0
    """How many devices are missing, the last ones."""
    sums: int = 0
    """How many blocks have a wrong checksum in the tree."""
    streams: int = 0
    """How many compressed extents cannot be inflated."""


@dataclass(frozen=True)
class _Faulty(RandomReads):
    """What a case does."""

    faults: _Faults = _Faults()

    def spoil(self, experiment: LiveExperiment, layout: Layout) -> None:
        """Spoil checksums and streams that files have."""
        if not self.faults.sums and not self.faults.streams:
            return
        rng = experiment.rng
        blocks = sorted({block for file in layout.files for block in _checked_blocks(file)})
        packed = {item.disk_bytenr: item for file in layout.files for item in _packed(file)}
        broken = rng.sample(sorted(packed), min(self.faults.streams, len(packed)))
        left = [block for block in blocks if block not in broken]
        spoilt = rng.sample(left, min(self.faults.sums, len(left)))
        experiment.step("spoil", _spoil, experiment, spoilt, [packed[one] for one in broken])
        layout.contents.bad_sums.update(spoilt)
        layout.contents.broken.update(broken)

    def mount(self, experiment: LiveExperiment, layout: Layout) -> None:
        """Mount without the devices that are to be missing; read-only where there is data on them alone."""
        filesystem = experiment.filesystem
        devices = filesystem.devices[len(filesystem.devices) - self.faults.missing :]
        options = list(filesystem.layout.mount_options)
        read_only = bool(devices) and filesystem.layout.data in ("single", "raid0")
        options += ["degraded"] * bool(devices) + ["ro"] * read_only
        experiment.step("mount", lambda: filesystem.mount(options, without=devices))
        count = len(filesystem.devices)
        present = frozenset(range(1, count - len(devices) + 1))
        layout.volume = replace(layout.volume, present=present, read_only=read_only)

    def reads_of(self, experiment: LiveExperiment, layout: Layout) -> list[DirectRead]:
        """Choose reads."""
        return FaultyReads(experiment.rng, layout, self.faults.kinds).reads(self.reads)


def _spoil(experiment: LiveExperiment, sums: Sequence[int], streams: Sequence[FileExtent]) -> None:
    with FileSystem(experiment.filesystem.devices) as filesystem:
        break_streams(filesystem, streams)
        spoil_sums(filesystem, sums)


def _checked_blocks(file: File) -> list[int]:
    """Return a file's blocks with checksums, by logical address; of what is compressed the first."""
    if file.nodatasum:
        return []
    found: list[int] = []
    for item in file.items:
        if item.type is ExtentType.REG and item.disk_bytenr:
            start = item.disk_bytenr + (0 if item.compression else item.offset)
            end = start + (BLOCK if item.compression else item.num_bytes)
            found += range(start, end, BLOCK)
    return found


def _packed(file: File) -> list[FileExtent]:
    return [i for i in file.items if i.compression is not Compression.NONE and i.type is ExtentType.REG]


def _why_not_many(kernel: Kernel) -> Sequence[str]:
    if kernel.name != HOST:
        return ["hundreds of reads take a guest minutes: direct_io/some-… is for guests"]
    return why_no_direct_io(kernel)


def _why_not_failing(kernel: Kernel) -> Sequence[str]:
    if kernel.name != HOST:
        return ["devices that fail stand on FUSE, which is on the host only"]
    return [*why_no_direct_io(kernel), *fuse_skip_reasons()]


def _why_not_before_6(what: str, kernel: Kernel) -> Sequence[str]:
    if kernel.release.startswith("5."):
        return [f"how kernels before 6.0 {what} is not modelled"]
    return why_no_direct_io(kernel)


_why_not_rebuilt = partial(_why_not_before_6, "rebuild rows of RAID5 and 6")
_why_not_broken = partial(_why_not_before_6, "go about streams that cannot be inflated")


def _case(
    name: str,
    profile: str,
    faults: _Faults,
    *,
    reads: int = 300,
    files: int = 10,
    options: tuple[str, ...] = (),
    groups: Sequence[str] = ("auto",),
    why_not: Callable[[Kernel], Sequence[str]] = _why_not_many,
) -> Case:
    devices = PROFILES[profile]
    can_fail = Damage.UNREADABLE in faults.kinds
    return Case(
        f"direct_io/{name}",
        f"direct reads of files on a damaged file system, {_told(faults)}, {profile} on {devices} devices",
        frozenset(groups),
        BtrfsLayout(
            devices=devices,
            size_bytes=512 * MIB,
            data=profile,
            metadata=METADATA.get(profile, "raid1c3"),
            mkfs_options=options,
            mount_options=("noatime",),
            can_fail=can_fail,
        ),
        _Faulty(files, reads, damaging=True, faults=faults),
        180.0,
        DIRECT_IO,
        _why_not_failing if can_fail else why_not,
    )


def _told(faults: _Faults) -> str:
    told = [f"copies {' or '.join(kind.name.lower() for kind in faults.kinds)}"] if faults.kinds else []
    told += [f"{faults.missing} devices missing"] if faults.missing else []
    told += ["wrong checksums"] if faults.sums else []
    told += ["broken streams"] if faults.streams else []
    return ", ".join(told)


_small = partial(_case, reads=60, files=4, why_not=why_no_direct_io)
"""For every kernel, guests too."""

_RECORDED = (
    ("unreadable-raid1c3", "raid1c3", _Faults(ALL, sums=10, streams=3)),
    ("unreadable-raid6", "raid6", _Faults(ALL, sums=30)),
    ("missing-raid5", "raid5", _Faults(missing=1)),
    ("missing-raid1", "raid1", _Faults(missing=1, sums=10)),
)
"""Those of which a bundle is kept in suites/data/direct_io/faults."""

CASES: tuple[Case, ...] = (
    *(_case(f"unreadable-{profile}", profile, _Faults(ALL)) for profile in PROFILES),
    *(_case(f"rebuilt-{profile}", profile, _Faults()) for profile in ("raid5", "raid6")),
    *(
        _case(f"missing-{profile}", profile, _Faults(missing=1))
        for profile in ("raid0", "raid1", "raid1c3", "raid1c4", "raid10", "raid5", "raid6")
    ),
    _case("missing-two-raid6", "raid6", _Faults(missing=2)),
    _case("missing-two-raid1c3", "raid1c3", _Faults(ALL, missing=2)),
    _case("sums-single", "single", _Faults(sums=60)),
    _case("sums-raid1c3", "raid1c3", _Faults(sums=60, streams=6)),
    _case("streams-raid1", "raid1", _Faults(streams=12)),
    _case("nodes-4k-xxhash", "raid1", _Faults(sums=20), options=("-n", "4096", "--csum", "xxhash")),
    _case("nodes-32k-sha256", "raid1", _Faults(sums=20), options=("-n", "32768", "--csum", "sha256")),
    _case("nodes-64k-blake2", "raid10", _Faults(sums=20), options=("-n", "65536", "--csum", "blake2")),
    _small("some-rebuilt-raid5", "raid5", _Faults(), why_not=_why_not_rebuilt),
    _small("some-missing-raid6", "raid6", _Faults(missing=1), why_not=_why_not_rebuilt),
    _small("some-missing-raid1", "raid1", _Faults(missing=1)),
    _small("some-sums-raid1", "raid1", _Faults(sums=20, streams=4), why_not=_why_not_broken),
    *(
        _small(f"data-{name}", profile, faults, reads=120, groups=("data",))
        for name, profile, faults in _RECORDED
    ),
)
"""Every case."""
