# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of extents of every kind, made by sharing parts of donors (FICLONERANGE), and what they hold.

Data are words that count up, from another start in each block, so that each block is different and a bundle
has them small.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from harness.cases import Experiment
from harness.fileops import FallocateMode, fallocate, fsync, reflink, set_nodatacow, truncate

__all__ = ["BLOCK", "Built", "Donor", "compressed_inline", "make_donors", "make_file"]

BLOCK = 4096
WORDS = BLOCK // 8
KIB, MIB = 1 << 10, 1 << 20
COMPRESSIONS = ("zlib", "lzo", "zstd")


@dataclass
class Built:
    """A file, and all that it holds."""

    path: Path
    image: bytearray = field(default_factory=bytearray)

    def put(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Note that `data` is there now."""
        if len(self.image) < offset:
            self.image += bytes(offset - len(self.image))
        self.image[offset : offset + len(data)] = data


@dataclass
class Donor(Built):
    """A file of which others share parts."""

    nodatacow: bool = False


def blocks(rng: random.Random, length: int, *, compressible: bool = False) -> bytes:
    """Return data that no other block has; `compressible` if they are mostly zeros."""
    count = -(-length // BLOCK)
    starts = np.array([rng.getrandbits(63) for _ in range(count)], np.uint64)
    words = starts[:, None] + np.arange(WORDS, dtype=np.uint64)[None, :]
    if compressible:
        words[:, 8:] = 0
    return words.tobytes()[:length]


def make_donors(experiment: Experiment) -> list[Donor]:
    """Make donors of each kind of extent, with checksums and without."""
    folder = experiment.mount / "donors"
    folder.mkdir()
    rng = experiment.rng
    made = []
    for nodatacow in (False, True):
        kind = "nodatacow" if nodatacow else "datacow"
        whole = _new(folder / f"{kind}-whole", nodatacow)
        _write(whole, 0, blocks(rng, 3 * MIB))
        pieces = _new(folder / f"{kind}-pieces", nodatacow)
        _write_pieces(pieces, rng, 2 * MIB)
        prealloc = _new(folder / f"{kind}-prealloc", nodatacow)
        _preallocate(prealloc, rng, 2 * MIB)
        tail = _new(folder / f"{kind}-tail", nodatacow)
        _write(tail, 0, blocks(rng, 200 * KIB + 777))
        made += [whole, pieces, prealloc, tail]
    for compression in COMPRESSIONS:
        donor = _new(folder / compression, False)
        donor.path.touch()
        experiment.btrfs("property", "set", donor.path, "compression", compression)
        _write(donor, 0, blocks(rng, 640 * KIB, compressible=True))
        made.append(donor)
    return made


def _new(path: Path, nodatacow: bool) -> Donor:
    if nodatacow:
        set_nodatacow(path)
    return Donor(path, nodatacow=nodatacow)


def _write(built: Built, offset: int, data: bytes) -> None:
    fd = os.open(built.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    try:
        if os.pwrite(fd, data, offset) != len(data):
            raise OSError(f"{built.path}: a write stopped early")
        os.fsync(fd)
    finally:
        os.close(fd)
    built.put(offset, data)


def _write_pieces(donor: Donor, rng: random.Random, length: int) -> None:
    """Write extents that lie one behind the other."""
    offset = 0
    while offset < length:
        part = min(rng.randrange(1, 60) * BLOCK, length - offset)
        _write(donor, offset, blocks(rng, part))
        offset += part


def _preallocate(donor: Donor, rng: random.Random, length: int) -> None:
    """Preallocate, and write to parts of it."""
    fallocate(donor.path, FallocateMode.ALLOCATE, 0, length)
    donor.put(0, bytes(length))
    for _ in range(6):
        begin = rng.randrange(length // BLOCK)
        part = min(rng.randrange(1, 40), length // BLOCK - begin)
        _write(donor, begin * BLOCK, blocks(rng, part * BLOCK))


def make_file(path: Path, rng: random.Random, donors: Sequence[Donor], *, nodatacow: bool) -> Built:
    """Make a file of parts of donors, some over others, with holes, and an odd end now and then."""
    built = _new(path, nodatacow)
    usable = [donor for donor in donors if donor.nodatacow == nodatacow]
    if not nodatacow and rng.random() < 0.3:
        _begin_inline(built, rng)
    for _ in range(rng.randrange(1, 24)):
        _share(built, rng, usable)
    path.touch()
    if rng.random() < 0.6:
        _set_end(built, rng, usable)
    if rng.random() < 0.3:
        _preallocate_behind(built, rng)
    fsync(path)
    return built


def _begin_inline(built: Built, rng: random.Random) -> None:
    """Write so little that it is kept in the item; an odd length stays so only if nothing follows."""
    _write(built, 0, blocks(rng, rng.choice((1, 300, 2000))))


def _share(built: Built, rng: random.Random, donors: Sequence[Donor]) -> None:
    donor = rng.choice(donors)
    available = len(donor.image) // BLOCK
    begin = rng.randrange(available)
    count = min(rng.choice((1, 2, 5, 16, 33, 100, 300, 700)), available - begin)
    end = len(built.image) // BLOCK
    target = rng.choice((end, end, end + rng.randrange(40), rng.randrange(end + 1)))
    _share_blocks(built, donor, begin, count, target)
    if rng.random() < 0.4 and begin + count < available:
        # What follows in the donor follows here too, as an item of its own, or behind a gap.
        behind = target + count + rng.choice((0, 0, 0, rng.randrange(1, 4)))
        _share_blocks(built, donor, begin + count, min(count, available - begin - count), behind)


def _share_blocks(built: Built, donor: Donor, begin: int, count: int, target: int) -> None:
    offset, length = begin * BLOCK, count * BLOCK
    reflink(donor.path, built.path, offset, length, target * BLOCK)
    built.put(target * BLOCK, donor.image[offset : offset + length])


def _set_end(built: Built, rng: random.Random, donors: Sequence[Donor]) -> None:
    """End with the donor's odd end, in the middle of a block, or with a hole."""
    match rng.randrange(3):
        case 0:
            donor = next(donor for donor in donors if len(donor.image) % BLOCK)
            target = -(-len(built.image) // BLOCK) * BLOCK
            reflink(donor.path, built.path, 0, 0, target)
            built.put(target, donor.image)
        case 1:
            size = rng.randrange(1, len(built.image) + 1)
            truncate(built.path, size)
            del built.image[size:]
        case 2:
            size = len(built.image) + rng.randrange(1, 10 * BLOCK)
            truncate(built.path, size)
            built.put(size, b"")


def _preallocate_behind(built: Built, rng: random.Random) -> None:
    """Preallocate beyond the end of the file."""
    begin = -(-len(built.image) // BLOCK) * BLOCK
    fallocate(built.path, FallocateMode.KEEP_SIZE, begin, rng.randrange(1, 64) * BLOCK)


def compressed_inline(experiment: Experiment, path: Path, donor: Donor) -> Built:
    """Make a file of a compressed block in its item, behind which there is an extent.

    A whole block: to share behind a shorter end would make a block of it, on a device.
    """
    built = Built(path)
    path.touch()
    experiment.btrfs("property", "set", path, "compression", "zlib")
    _write(built, 0, bytes(range(256)) * (BLOCK // 256))
    _share_blocks(built, donor, 3, 5, 1)
    return built
