# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads with all that they need to be made again: devices, how files are made, and what is damaged.

Places of damage are told by files, not by devices: so they are found again where files have become smaller.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness.bundle import Bundle
from harness.direct_io.damage import CopyState
from harness.direct_io.damage import Damage as Kind
from harness.direct_io.plan import Plan, Step
from harness.direct_io.record import DirectRead, Layout
from harness.errors import UserError
from loopdevs import BtrfsLayout
from reference.direct_io.mainline import File
from reference.direct_io.source import ExtentType, FileExtent

__all__ = ["Damage", "Scene", "SceneRead", "scene_of"]


@dataclass(frozen=True)
class Damage:
    """Copies of one block that are damaged."""

    offset: int
    """Place in the file; of a compressed extent, where that begins in the file. Bytes."""
    inside: int
    """Of a compressed extent, where in what lies on the devices; else 0."""
    mirrors: tuple[int, ...]
    """Which of the copies, from 0."""


@dataclass(frozen=True)
class SceneRead:
    """A read. Of `read`, the number of the file and the copies do not count."""

    file: str
    """Below the mount point."""
    read: DirectRead
    damage: tuple[Damage, ...] = ()


@dataclass(frozen=True)
class Scene:
    """All that reads need."""

    layout: BtrfsLayout
    steps: tuple[Step, ...]
    reads: tuple[SceneRead, ...]

    @property
    def plan(self) -> Plan:
        """The plan of the files."""
        return Plan(self.steps, list(dict.fromkeys(one.file for one in self.reads)))

    def direct_reads(self, layout: Layout) -> list[DirectRead]:
        """Return the reads for files that lie so; LookupError if a block to be damaged is not there."""
        numbers = {name: number for number, name in enumerate(self.plan.read)}
        return [
            replace(
                one.read,
                file=numbers[one.file],
                copies=_copies(one.damage, layout.files[numbers[one.file]], layout),
            )
            for one in self.reads
        ]


def scene_of(bundle: Bundle, layout: Layout, reads: Sequence[DirectRead]) -> Scene:
    """Return what a bundle recorded; UserError if it does not say how its files were made."""
    plan = layout.plan
    if plan is None:
        raise UserError(f"{bundle.path} does not say how its files were made: record the case again")
    return Scene(
        _btrfs_layout(bundle.manifest["devices"]),
        tuple(plan.steps),
        tuple(
            SceneRead(plan.read[one.file], replace(one, file=0, copies=()), _damage(one, layout))
            for one in reads
        ),
    )


def _btrfs_layout(told: Mapping[str, object]) -> BtrfsLayout:
    names = {"count": "devices", "mkfs_options": "mkfs_options", "mount_options": "mount_options"}
    names |= {name: name for name in ("size_bytes", "data", "metadata")}
    values = {ours: told[theirs] for theirs, ours in names.items()}
    return BtrfsLayout(**{n: tuple(v) if isinstance(v, list) else v for n, v in values.items()})  # type: ignore[arg-type]


def _damage(read: DirectRead, layout: Layout) -> tuple[Damage, ...]:
    if read.follows or any(copy.damaged is Kind.UNREADABLE for copy in read.copies):
        raise UserError(
            "reads of what cannot be read, or of what one before has left, cannot be made smaller"
        )
    blocks: defaultdict[int, list[bool]] = defaultdict(list)
    for copy in read.copies:
        blocks[copy.logical].append(copy.damaged is Kind.CORRUPT)
    file = layout.files[read.file]
    return tuple(
        Damage(*_place(file, logical), tuple(n for n, damaged in enumerate(copies) if damaged))
        for logical, copies in blocks.items()
    )


def _place(file: File, logical: int) -> tuple[int, int]:
    """Return where in the file, and inside a compressed extent, a block lies."""
    for item in filter(_on_devices, file.items):
        inside = logical - item.disk_bytenr
        if item.compression and 0 <= inside < item.disk_num_bytes:
            return item.file_offset, inside
        if not item.compression and 0 <= inside - item.offset < item.end - item.file_offset:
            return item.file_offset + inside - item.offset, 0
    raise UserError(f"block {logical} was damaged, which the file that was read does not have")


def _copies(damage: Sequence[Damage], file: File, layout: Layout) -> list[CopyState]:
    copies = []
    for one in damage:
        logical = _logical(one, file)
        mapping = layout.volume.chunks.map_block(logical)
        assert mapping is not None
        copies += [
            CopyState(logical, *stripe, Kind(n in one.mirrors)) for n, stripe in enumerate(mapping.stripes)
        ]
    return copies


def _logical(damage: Damage, file: File) -> int:
    for item in filter(_on_devices, file.items):
        if item.compression and item.file_offset == damage.offset and damage.inside < item.disk_num_bytes:
            return item.disk_bytenr + damage.inside
        if not item.compression and item.file_offset <= damage.offset < item.end:
            return item.disk_bytenr + item.offset + damage.offset - item.file_offset
    raise LookupError(f"nothing lies at {damage.offset} of the file")


def _on_devices(item: FileExtent) -> bool:
    return item.type is ExtentType.REG and item.disk_bytenr > 0
