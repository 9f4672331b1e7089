# SPDX-License-Identifier: GPL-2.0-or-later
"""The cases of readaheads in guests with reada.c: profiles, ranges, many at once."""

from __future__ import annotations

from harness.cases import Case
from suites.readahead.guest import Reader, guest_case, ranges, whole
from suites.readahead.guest_trees import MIB, Shape

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


CASES: tuple[Case, ...] = (
    guest_case(
        "guest-raid1",
        "two mirrors and 8 zones: each device's choice of a zone locks the other's",
        "raid1",
        2,
        Shape(nodesize=16384, zones=8, zone_bytes=4 * MIB, width=2),
        _again_and_in_parts,
        groups=("quick", "auto"),
    ),
    guest_case(
        "guest-raid1-small",
        "two mirrors and 6 zones, small enough to be kept",
        "raid1",
        3,
        Shape(nodesize=16384, zones=6, zone_bytes=MIB, width=2, kept=0.8),
        _whole,
        groups=("data",),
    ),
)
"""Every case."""
