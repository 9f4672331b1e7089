# SPDX-License-Identifier: GPL-2.0-or-later
"""Plans of files of extents of every kind, made by sharing parts of donors."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.direct_io.plan import BLOCK, DONORS, FILES, SNAPSHOT, Action, Plan, Step

__all__ = ["random_plan"]

KIB, MIB = 1 << 10, 1 << 20
COMPRESSIONS = ("zlib", "lzo", "zstd")


@dataclass
class _Planned:
    """A file that is being planned."""

    name: str
    nodatacow: bool = False
    size: int = 0
    steps: list[Step] = field(default_factory=list)

    def do(self, step: Step) -> None:
        """Add a step."""
        self.steps.append(step)

    def write(self, rng: random.Random, offset: int, length: int, *, compressible: bool = False) -> None:
        seed = rng.getrandbits(32)
        self.do(Step(Action.WRITE, self.name, offset, length, seed=seed, compressible=compressible))
        self.size = max(self.size, offset + length)

    def share(self, donor: _Planned, begin: int, count: int, target: int) -> None:
        """Share `count` blocks."""
        offset, length = target * BLOCK, count * BLOCK
        self.do(
            Step(
                Action.SHARE,
                self.name,
                offset,
                length,
                source=donor.name,
                source_offset=begin * BLOCK,
            )
        )
        self.size = max(self.size, offset + length)

    def truncate(self, size: int) -> None:
        self.do(Step(Action.TRUNCATE, self.name, length=size))
        self.size = size


def random_plan(rng: random.Random, files: int) -> Plan:
    """Return a plan of donors, of so many files and one that begins compressed and inline, and a snapshot.

    A third of the files is read in the snapshot too.
    """
    donors = _donors(rng)
    made = [_file(f"{FILES}/{number}", rng, donors, nodatacow=number % 4 == 3) for number in range(files)]
    made.append(_compressed_inline(f"{FILES}/inline", rng, donors[0]))
    read = [one.name for one in made]
    shared = [f"{SNAPSHOT}/{name.removeprefix(f'{FILES}/')}" for name in read[::3]]
    return Plan([step for one in (*donors, *made) for step in one.steps], [*read, *shared])


def _donors(rng: random.Random) -> list[_Planned]:
    """Plan donors of each kind of extent, with checksums and without."""
    made = []
    for nodatacow in (False, True):
        kind = "nodatacow" if nodatacow else "datacow"
        whole = _new(f"{DONORS}/{kind}-whole", nodatacow)
        whole.write(rng, 0, 3 * MIB)
        pieces = _new(f"{DONORS}/{kind}-pieces", nodatacow)
        _write_pieces(pieces, rng, 2 * MIB)
        prealloc = _new(f"{DONORS}/{kind}-prealloc", nodatacow)
        _preallocate(prealloc, rng, 2 * MIB)
        tail = _new(f"{DONORS}/{kind}-tail", nodatacow)
        tail.write(rng, 0, 200 * KIB + 777)
        made += [whole, pieces, prealloc, tail]
    for compression in COMPRESSIONS:
        donor = _Planned(f"{DONORS}/{compression}")
        donor.do(Step(Action.COMPRESS, donor.name, how=compression))
        donor.write(rng, 0, 640 * KIB, compressible=True)
        made.append(donor)
    return made


def _new(name: str, nodatacow: bool) -> _Planned:
    planned = _Planned(name, nodatacow)
    planned.do(Step(Action.NODATACOW if nodatacow else Action.CREATE, name))
    return planned


def _write_pieces(donor: _Planned, rng: random.Random, length: int) -> None:
    """Write extents that lie one behind the other."""
    while donor.size < length:
        donor.write(rng, donor.size, min(rng.randrange(1, 60) * BLOCK, length - donor.size))


def _preallocate(donor: _Planned, rng: random.Random, length: int) -> None:
    """Preallocate, and write to parts of it."""
    donor.do(Step(Action.ALLOCATE, donor.name, 0, length))
    donor.size = length
    for _ in range(6):
        begin = rng.randrange(length // BLOCK)
        part = min(rng.randrange(1, 40), length // BLOCK - begin)
        donor.write(rng, begin * BLOCK, part * BLOCK)


def _file(name: str, rng: random.Random, donors: Sequence[_Planned], *, nodatacow: bool) -> _Planned:
    """Plan a file of parts of donors, some over others, with holes, and an odd end now and then."""
    planned = _new(name, nodatacow)
    usable = [donor for donor in donors if donor.nodatacow == nodatacow]
    if not nodatacow and rng.random() < 0.3:
        _begin_inline(planned, rng)
    for _ in range(rng.randrange(1, 24)):
        _share(planned, rng, usable)
    if rng.random() < 0.6:
        _set_end(planned, rng, usable)
    if rng.random() < 0.3:
        _preallocate_behind(planned, rng)
    planned.do(Step(Action.SYNC, name))
    return planned


def _begin_inline(planned: _Planned, rng: random.Random) -> None:
    """Write so little that it is kept in the item; an odd length stays so only if nothing follows."""
    planned.write(rng, 0, rng.choice((1, 300, 2000)))


def _share(planned: _Planned, rng: random.Random, donors: Sequence[_Planned]) -> None:
    donor = rng.choice(donors)
    available = donor.size // BLOCK
    begin = rng.randrange(available)
    count = min(rng.choice((1, 2, 5, 16, 33, 100, 300, 700)), available - begin)
    end = planned.size // BLOCK
    target = rng.choice((end, end, end + rng.randrange(40), rng.randrange(end + 1)))
    planned.share(donor, begin, count, target)
    if rng.random() < 0.4 and begin + count < available:
        # What follows in the donor follows here too, as an item of its own, or behind a gap.
        behind = target + count + rng.choice((0, 0, 0, rng.randrange(1, 4)))
        planned.share(donor, begin + count, min(count, available - begin - count), behind)


def _set_end(planned: _Planned, rng: random.Random, donors: Sequence[_Planned]) -> None:
    """End with the donor's odd end, in the middle of a block, or with a hole."""
    match rng.randrange(3):
        case 0:
            donor = next(donor for donor in donors if donor.size % BLOCK)
            target = -(-planned.size // BLOCK) * BLOCK
            planned.do(Step(Action.SHARE, planned.name, target, source=donor.name))
            planned.size = target + donor.size
        case 1:
            planned.truncate(rng.randrange(1, planned.size + 1))
        case 2:
            planned.truncate(planned.size + rng.randrange(1, 10 * BLOCK))


def _preallocate_behind(planned: _Planned, rng: random.Random) -> None:
    """Preallocate beyond the end of the file."""
    begin = -(-planned.size // BLOCK) * BLOCK
    planned.do(Step(Action.RESERVE, planned.name, begin, rng.randrange(1, 64) * BLOCK))


def _compressed_inline(name: str, rng: random.Random, donor: _Planned) -> _Planned:
    """Plan a file of a compressed block in its item, behind which there is an extent.

    A whole block: to share behind a shorter end would make a block of it, on a device.
    """
    planned = _Planned(name)
    planned.do(Step(Action.COMPRESS, name, how="zlib"))
    planned.write(rng, 0, BLOCK, compressible=True)
    planned.share(donor, 3, 5, 1)
    return planned
