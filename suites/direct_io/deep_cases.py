# SPDX-License-Identifier: GPL-2.0-or-later
"""Direct reads of which several are under way at a time: made by ourselves, so that their data are seen."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from harness.capture.choice import DEEP_DIRECT_IO
from harness.cases import Case, Experiment
from harness.direct_io.deep import DEPTH, MEMORY_BYTES, Batch, Engine, make_batches
from harness.direct_io.needs import why_no_deep_direct_io, why_not_many_at_once
from harness.direct_io.record import DirectRead
from harness.kernels import Kernel
from harness.record.experiment import LiveExperiment
from loopdevs import BtrfsLayout
from reference.direct_io.mainline import File
from reference.direct_io.source import IoVec
from suites.direct_io.prepared import prepared
from suites.direct_io.requests import waiting_read

__all__ = ["CASES"]

BLOCK = 4096
DEPTHS = (2, 3, 8, 20, DEPTH)
KEPT = 0.3
"""Share of batches that find the pages of the one before."""
HOT = 0.4
"""Share of batches that read one place of one file."""


@dataclass(frozen=True)
class _DeepReads:
    """What a case does."""

    files: int
    reads: int

    def __call__(self, experiment: Experiment) -> None:
        """Run the case."""
        assert isinstance(experiment, LiveExperiment)
        plan, layout = prepared(experiment, self.files)
        capture = experiment.direct_io()
        batches = random_batches(experiment.rng, layout.files, self.reads, odd=capture.sees_all_calls)
        paths = [experiment.mount / name for name in plan.read]
        done: list[DirectRead] = []
        with capture.draining():
            experiment.step("read", lambda: done.extend(make_batches(paths, batches, capture)))
        experiment.step("keep", lambda: capture.keep(done, layout))


def random_batches(rng: random.Random, files: Sequence[File], reads: int, *, odd: bool) -> list[Batch]:
    """Return so many reads, in batches of each engine, most of a few files."""
    batches: list[Batch] = []
    left = reads
    while left > 0:
        depth = min(rng.choice(DEPTHS), left)
        chosen = rng.sample(range(len(files)), rng.choice((1, 1, 2, 4)))
        hot = rng.random() < HOT
        batch = (
            _hot_reads(rng, files, chosen[0], depth) if hot else _reads(rng, files, chosen, depth, odd=odd)
        )
        engine = rng.choice(list(Engine))
        batches.append(Batch(engine, batch, cached=bool(batches) and rng.random() < KEPT))
        left -= len(batch)
    return batches


def _hot_reads(rng: random.Random, files: Sequence[File], number: int, depth: int) -> list[DirectRead]:
    """Return reads of few blocks where extents meet: they meet each other's locks and maps.

    Equal ones are not told apart, and need not be.
    """
    file = files[number]
    edges = [item.file_offset for item in file.items if item.file_offset < file.i_size] or [0]
    place = rng.choice(edges) // BLOCK
    reads = []
    for _ in range(depth):
        begin = max(0, place + rng.randrange(-3, 3))
        length = rng.choice((1, 1, 1, 2, 3, 6))
        reads.append(DirectRead(number, begin * BLOCK, [IoVec(0, length * BLOCK)]))
    return reads


def _reads(
    rng: random.Random, files: Sequence[File], chosen: Sequence[int], depth: int, *, odd: bool
) -> list[DirectRead]:
    """Return different reads, so that each can be told from the others by what it asks for."""
    found: dict[tuple[int, int, int], DirectRead] = {}
    memory = 0
    for _ in range(depth):
        number = rng.choice(chosen)
        read = waiting_read(rng, number, files[number])
        if not odd and not _of_whole_blocks(read):
            continue
        if memory + read.memory_bytes > MEMORY_BYTES:
            break
        key = number, read.offset, sum(length for _, length in read.iov)
        memory += 0 if key in found else read.memory_bytes
        found.setdefault(key, read)
    return list(found.values())


def _of_whole_blocks(read: DirectRead) -> bool:
    """Whether a read is tried directly: as IovIter.alignment and the gate of `btrfs_direct_read` say."""
    values = [value for vector in read.iov if vector.iov_len for value in vector]
    bases = [base for base, _ in read.iov]
    return not any(value % BLOCK for value in (read.offset, *values)) and len(set(bases)) == len(bases)


def _case(
    name: str,
    profile: str,
    *,
    reads: int,
    files: int = 12,
    groups: Sequence[str],
    why_not: Callable[[Kernel], Sequence[str]] = why_not_many_at_once,
) -> Case:
    devices = PROFILES[profile]
    return Case(
        f"direct_io/{name}",
        f"direct reads several at a time, by threads, libaio and io_uring, {profile} on {devices} devices",
        frozenset(groups),
        BtrfsLayout(devices=devices, size_bytes=512 << 20, data=profile, mount_options=("noatime",)),
        _DeepReads(files, reads),
        120.0,
        DEEP_DIRECT_IO,
        why_not,
    )


_small = partial(_case, files=7, why_not=why_no_deep_direct_io)
"""For every kernel, guests too."""

PROFILES = {"single": 1, "raid0": 3, "raid1": 2, "raid1c3": 3, "raid10": 4, "raid5": 3}
"""How many devices each has."""

CASES: tuple[Case, ...] = (
    *(
        _case(f"deep-{profile}", profile, reads=1500, groups=("quick", "auto"))
        for profile in ("raid1", "raid10")
    ),
    *(
        _case(f"deep-many-{profile}", profile, reads=10_000, files=30, groups=("stress",))
        for profile in PROFILES
    ),
    _small("some-deep", "raid1", reads=250, groups=("auto",)),
    _small("data-deep", "raid1", reads=700, groups=("data",)),
)
"""Every case."""
