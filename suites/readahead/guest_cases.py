# SPDX-License-Identifier: GPL-2.0-or-later
"""The cases of readaheads in guests with reada.c: profiles, ranges, many at once."""

from __future__ import annotations

from collections.abc import Callable

from harness.cases import Case
from suites.readahead.guest import Damage, Reader, guest_case, ranges, undamaged, whole
from suites.readahead.guest_damage import bad_sums, cut_short, one_missing, other_generations
from suites.readahead.guest_trees import MIB, Shape
from suites.readahead.guest_turns import in_turns

__all__ = ["CASES"]


def _whole(reader: Reader) -> None:
    reader.read(whole(reader.trees))


def _again_and_in_parts(reader: Reader) -> None:
    """Read everything, the same from memory, then everything and parts of it at the same time."""
    reader.read(whole(reader.trees))
    reader.wait(reader.add(whole(reader.trees)))
    reader.read([*whole(reader.trees), *ranges(reader, 4)])


def _ranges(reader: Reader) -> None:
    for count in (1, 2, 4, 8, 16):
        reader.read(ranges(reader, count))


def _many(reader: Reader) -> None:
    """Same trees and different trees, waited for and sent away."""
    trees = [*reader.trees, *reader.trees]
    reader.experiment.rng.shuffle(trees)
    handles = reader.add(whole(trees))
    reader.detach(handles[::2])
    reader.wait(handles[1::2])
    reader.read(whole(reader.trees))


def _walk(reader: Reader) -> None:
    """The walk finds blocks in memory that a readahead has brought there, and brings some for another."""
    reader.read(ranges(reader, 2))
    for request in whole(reader.trees):
        reader.experiment.step("walk", reader.experiment.readahead().walk, request)
    reader.wait(reader.add(whole(reader.trees)))


MAIN: tuple[Case, ...] = (
    guest_case(
        "guest-raid1",
        "two mirrors and 8 zones: each device's choice of a zone locks the other's",
        "raid1",
        2,
        Shape(nodesize=4096, zones=8, zone_bytes=MIB, width=2),
        _again_and_in_parts,
    ),
    guest_case(
        "guest-raid1-seven",
        "mirrors on pairs of 7 devices, 12 zones: whose peers are locked changes all the time",
        "raid1",
        7,
        Shape(nodesize=16384, zones=12, zone_bytes=2 * MIB, width=2, trees=2),
        _again_and_in_parts,
    ),
    guest_case(
        "guest-raid10",
        "mirrored stripes on 4 devices: a block's zone is on all four, its copies on two",
        "raid10",
        4,
        Shape(nodesize=4096, zones=5, zone_bytes=MIB, width=4),
        _again_and_in_parts,
    ),
    guest_case(
        "guest-raid0",
        "stripes on 3 devices: no copy to choose from",
        "raid0",
        3,
        Shape(nodesize=4096, zones=5, zone_bytes=MIB // 2, width=3),
        _again_and_in_parts,
    ),
    guest_case(
        "guest-dup",
        "two copies on one device: a zone counts each block twice",
        "dup",
        1,
        Shape(nodesize=4096, zones=6, zone_bytes=4 * MIB, width=1),
        _again_and_in_parts,
    ),
    guest_case(
        "guest-single",
        "one copy, on one of 3 devices",
        "single",
        3,
        Shape(nodesize=4096, zones=8, zone_bytes=MIB, width=1),
        _again_and_in_parts,
    ),
    guest_case(
        "guest-ranges",
        "up to 16 ranges of keys at once, some empty, some overlapping",
        "raid1",
        3,
        Shape(nodesize=4096, zones=8, zone_bytes=MIB, width=2, trees=2),
        _ranges,
    ),
    guest_case(
        "guest-many",
        "three trees twice at once, waited for or sent away: several controls want the same block",
        "raid1",
        5,
        Shape(nodesize=4096, zones=8, zone_bytes=MIB, width=2, trees=3),
        _many,
    ),
    guest_case(
        "guest-walk",
        "a traditional walk between readaheads: blocks are in memory when they are picked",
        "raid1",
        3,
        Shape(nodesize=4096, zones=5, zone_bytes=MIB, width=2),
        _walk,
    ),
    guest_case(
        "guest-missing",
        "a device of four is missing: copies are counted without it, and asked for by wrong numbers",
        "raid1",
        4,
        Shape(nodesize=4096, zones=8, zone_bytes=MIB, width=2),
        _again_and_in_parts,
        damage=one_missing,
    ),
    guest_case(
        "guest-bad-sums",
        "spoilt copies of nodes and leaves: an error cuts the branch, the other copy is not asked",
        "raid1",
        3,
        Shape(nodesize=4096, zones=8, zone_bytes=MIB, width=2),
        _again_and_in_parts,
        damage=bad_sums,
    ),
    guest_case(
        "guest-io-errors",
        "a device fails in a part of it",
        "raid1",
        3,
        Shape(nodesize=4096, zones=8, zone_bytes=MIB, width=2),
        _again_and_in_parts,
        failure=cut_short,
    ),
    guest_case(
        "guest-generations",
        "nodes of another generation than their parents say: their children are not read",
        "raid1",
        3,
        Shape(nodesize=4096, zones=8, zone_bytes=MIB, width=2),
        _whole,
        damage=other_generations,
    ),
    guest_case(
        "guest-large-nodes",
        "nodes of 64 KiB: 16 pages a block, and a tree of two levels",
        "raid1",
        3,
        Shape(nodesize=65536, zones=6, zone_bytes=16 * MIB, width=2),
        _again_and_in_parts,
    ),
    guest_case(
        "guest-two-processors",
        "hooks and workers on two processors at once: the order of records is that of the probes only",
        "raid1",
        3,
        Shape(nodesize=4096, zones=8, zone_bytes=MIB, width=2),
        _again_and_in_parts,
        cpus=2,
    ),
)
"""What the engine is put to."""


def _small(
    name: str,
    metadata: str,
    devices: int,
    width: int,
    read: Callable[[Reader], None],
    *,
    trees: int = 1,
    kept: float = 0.15,
    damage: Damage = undamaged,
) -> Case:
    """Return a case of which the record is kept: most of the leaves go before they are read."""
    shape = Shape(nodesize=4096, zones=8, zone_bytes=MIB, width=width, trees=trees, kept=kept)
    title = f"for suites/data: few blocks of {metadata} metadata in many zones"
    return guest_case(name, title, metadata, devices, shape, read, damage=damage, groups=("data",))


SMALL: tuple[Case, ...] = (
    _small("data-raid1", "raid1", 2, 2, _again_and_in_parts),
    _small("data-three", "raid1", 3, 2, _whole),
    _small("data-many", "raid1", 3, 2, _many, trees=2),
    _small("data-ranges", "raid1", 3, 2, _ranges),
    _small("data-raid10", "raid10", 4, 4, _whole),
    _small("data-dup", "dup", 1, 1, _whole),
    # Below most blocks that the missing device has too, nothing is read.
    _small("data-missing", "raid1", 4, 2, _whole, kept=0.6, damage=one_missing),
    _small("data-bad-sums", "raid1", 3, 2, _whole, damage=bad_sums),
    _small("data-generations", "raid1", 3, 2, _whole, damage=other_generations),
)
"""What `suites/data/readahead` is recorded from."""

ROTATIONAL = guest_case(
    "guest-rotational",
    "walk and readahead of a mirrored tree on four rotational disks, five times in turns",
    "raid1",
    4,
    Shape(nodesize=16384, zones=8, zone_bytes=4 * MIB, width=2, kept=0.2),
    in_turns,
    groups=("claims",),
    rotational=True,
    deadline_s=120.0,
)
"""What is measured (`suites/claims/readahead_recorded.py`)."""

CASES = (*MAIN, *SMALL, ROTATIONAL)
"""Every case."""
