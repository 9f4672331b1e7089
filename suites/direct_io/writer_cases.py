# SPDX-License-Identifier: GPL-2.0-or-later
"""Direct reads of files that are written, cut and made longer at the same time.

What a read finds is one of the results that `reference.direct_io.concurrent` allows.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from harness.capture.choice import RACES
from harness.cases import Case, Experiment
from harness.direct_io.races import Race
from harness.direct_io.racing import PlannedChange, race
from harness.fileops import set_nodatacow
from harness.record.experiment import LiveExperiment
from loopdevs import BtrfsLayout
from reference.direct_io.concurrent import BLOCK, ChangeKind

__all__ = ["CASES"]

KIB, MIB = 1 << 10, 1 << 20
CHUNK = 64 * KIB
SIZE = 4 * MIB
MOST_CHUNKS = 4


@dataclass(frozen=True)
class _Writers:
    """What a case does."""

    kinds: Sequence[ChangeKind]
    """Drawn from for each change."""
    changes: int
    nodatacow: bool = False

    def __call__(self, experiment: Experiment) -> None:
        """Run the case."""
        assert isinstance(experiment, LiveExperiment)
        path = experiment.mount / "file"
        if self.nodatacow:
            set_nodatacow(path)
        planned = _planned(experiment.rng, self.kinds, self.changes)
        seed = experiment.rng.getrandbits(32)
        found = experiment.step("race", lambda: Race(CHUNK, *race(path, planned, CHUNK, SIZE, seed)))
        experiment.step("keep", lambda: experiment.races().keep(found))


def _planned(rng: random.Random, kinds: Sequence[ChangeKind], count: int) -> list[PlannedChange]:
    """Return changes, the first of which fills the file; none but those of length change the length."""
    planned: list[PlannedChange] = [(ChangeKind.DIRECT, 0, SIZE)]
    size = SIZE
    while len(planned) < count:
        kind = rng.choice(kinds)
        if kind is ChangeKind.TRUNCATE:
            size = SIZE if size < SIZE else rng.randrange(SIZE // 4, SIZE) // BLOCK * BLOCK
            planned.append((kind, size, 0))
            continue
        chunks = rng.randrange(1, MOST_CHUNKS + 1)
        offset = rng.randrange(size // CHUNK - chunks + 1) * CHUNK
        planned.append((kind, offset, chunks * CHUNK))
    return planned


def _case(
    name: str,
    what: str,
    kinds: Sequence[ChangeKind],
    groups: Sequence[str],
    *,
    data: str = "single",
    devices: int = 1,
    nodatacow: bool = False,
) -> Case:
    return Case(
        f"direct_io/writers-{name}",
        f"direct reads during {what}: old or new, never mixed beyond the design",
        frozenset(groups),
        BtrfsLayout(devices=devices, size_bytes=512 * MIB, data=data, mount_options=("noatime",)),
        _Writers(kinds, 600, nodatacow),
        120.0,
        RACES,
    )


_DIRECT, _BUFFERED, _TRUNCATE = ChangeKind

CASES: tuple[Case, ...] = (
    _case("direct", "direct writes", (_DIRECT,), ("quick", "auto")),
    _case("nodatacow", "direct writes in place", (_DIRECT,), ("auto",), nodatacow=True),
    _case("raid10", "direct writes, raid10 on 4 devices", (_DIRECT,), ("auto",), data="raid10", devices=4),
    _case("buffered", "writes through the page cache", (_BUFFERED,), ("quick", "auto")),
    _case("both", "writes, direct and through the page cache", (_DIRECT, _BUFFERED), ("auto",)),
    _case(
        "truncate", "direct writes and changes of length", (_DIRECT, _DIRECT, _TRUNCATE), ("quick", "auto")
    ),
    _case("all", "writes of both kinds and changes of length", (_DIRECT, _BUFFERED, _TRUNCATE), ("auto",)),
)
"""Every case."""
