# SPDX-License-Identifier: GPL-2.0-or-later
"""Walks and readaheads of synthetic trees over disks in virtual time, for claims of the readahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from harness.compiled import keep_compiled
from reference.disks import SATA_7200_2011, SATA_SSD_2011, Policy, RotationalConstants, SsdConstants
from reference.readahead import Behaviour
from reference.readahead.chunks import ChunkMap, Profile
from reference.readahead.synthetic import Forest, TreeShape
from reference.readahead.timed import CPU_NS_PER_BLOCK

# Compiled code is kept only if `keep_compiled` comes before `scale` is imported: so functions import it late.
if TYPE_CHECKING:
    from reference.readahead.scale.simulate import Setup, Simulated
    from reference.readahead.scale.trees import Trees

__all__ = [
    "CONSTANTS",
    "PUBLISHED_WALK_S",
    "SIMULATED",
    "VARIED",
    "World",
    "published_size",
    "read_ahead",
    "walk",
]

PUBLISHED_WALK_S = 351.0
"""How long the walk over the extent tree took that the trees here are sized by."""
SIMULATED = (
    "All of it: a synthetic tree, the reference engine compiled, disks in virtual time (docs/disks.md). No "
    "kernel and no device takes part."
)


@dataclass(frozen=True)
class World:
    """What is read, from what, by whom. The defaults are what claims are concluded from."""

    aged: float = 0.5
    """The share of leaves that were rewritten (`TreeShape`)."""
    run: int = 4
    devices: int = 7
    profile: Profile = Profile.RAID1
    nodesize: int = 4096
    fanout: int = 80
    """Children of a node: two thirds of the 121 that fit 4 KiB."""
    behaviour: Behaviour = Behaviour.seed_2011
    disk: RotationalConstants | SsdConstants = SATA_7200_2011
    host: Policy = Policy.C_LOOK
    drive: Policy = Policy.SHORTEST
    queue_depth: int | None = None

    @property
    def chunks(self) -> ChunkMap:
        """Chunks of about 256 MiB, as metadata had in 2011: whole stripes on any number of devices."""
        whole = self.devices * (64 << 10)
        return ChunkMap(self.profile, self.devices, self.nodesize, (256 << 20) // whole * whole)

    @property
    def setup(self) -> Setup:
        """The disks."""
        keep_compiled()
        from reference.readahead.scale.simulate import Setup

        return Setup(
            self.devices, self.disk, self.nodesize, self.host, self.drive, self.queue_depth, CPU_NS_PER_BLOCK
        )

    def shape(self, leaves: int, seed: int = 1) -> TreeShape:
        """Return a tree of so many leaves."""
        return TreeShape(leaves, self.fanout, seed, self.aged, self.run)


CONSTANTS = (
    ("disks", f"7 of {SATA_7200_2011.name}"),
    ("order of requests", "C-LOOK in the host, shortest positioning time of up to 31 in the disk"),
    (
        "metadata",
        "RAID1 in chunks of 256 MiB, 3 GiB of data between two; nodes of 4 KiB, as mkfs made in 2011",
    ),
    (
        "tree",
        f"sized so that the walk takes {PUBLISHED_WALK_S:g} s; half of its leaves rewritten in runs of 4",
    ),
    ("processor", f"{CPU_NS_PER_BLOCK / 1000:g} µs a block"),
    ("engine", "as of the series (seed_2011)"),
)

_CENTRAL = World()
VARIED: tuple[tuple[str, World], ...] = (
    ("as fixed", _CENTRAL),
    *((f"{share:.0%} of the leaves rewritten", replace(_CENTRAL, aged=share)) for share in (0, 0.1, 0.25, 1)),
    *((f"rewritten in runs of {run}", replace(_CENTRAL, run=run)) for run in (1, 16)),
    *((f"{devices} disks", replace(_CENTRAL, devices=devices)) for devices in (2, 3, 5, 10)),
    ("one disk, single", replace(_CENTRAL, devices=1, profile=Profile.SINGLE)),
    ("7 disks, RAID0", replace(_CENTRAL, profile=Profile.RAID0)),
    ("8 disks, RAID10", replace(_CENTRAL, devices=8, profile=Profile.RAID10)),
    ("engine of 5.10", replace(_CENTRAL, behaviour=Behaviour.linux_5_10)),
    ("first come, first served", replace(_CENTRAL, host=Policy.FIFO, drive=Policy.FIFO)),
    ("disks take one request at a time", replace(_CENTRAL, queue_depth=1)),
    ("disks do not read on", replace(_CENTRAL, disk=replace(SATA_7200_2011, read_ahead=0))),
    ("disks read on 4 MiB", replace(_CENTRAL, disk=replace(SATA_7200_2011, read_ahead=4 << 20))),
    ("nodes of 16 KiB", replace(_CENTRAL, nodesize=16 << 10, fanout=330)),
    ("7 SSDs of 2011", replace(_CENTRAL, disk=SATA_SSD_2011)),
)
"""The world that claims are concluded from, and others that differ from it in one thing."""


def trees(world: World, leaves: Sequence[int]) -> Trees:
    """Return trees of so many leaves, one behind the other."""
    keep_compiled()
    from reference.readahead.scale.grow import grow

    forest = Forest([world.shape(number, seed) for seed, number in enumerate(leaves, 1)], world.chunks)
    return grow(forest.trees, world.chunks)


def walk(world: World, leaves: Sequence[int], wanted: Sequence[int] = (0,)) -> Simulated:
    """Walk over the trees `wanted` of those with so many leaves, all at once."""
    keep_compiled()
    from reference.readahead.scale.simulate import simulate_walk

    return simulate_walk(trees(world, leaves), world.setup, wanted)


def read_ahead(world: World, leaves: Sequence[int], wanted: Sequence[int] = (0,)) -> Simulated:
    """Read ahead the trees `wanted` of those with so many leaves, all at once."""
    keep_compiled()
    from reference.readahead.scale.simulate import simulate_readahead

    return simulate_readahead(trees(world, leaves), world.setup, world.behaviour, wanted)


@lru_cache
def published_size() -> int:
    """Return how many leaves a tree has that takes a walk `PUBLISHED_WALK_S`, constants as fixed."""
    keep_compiled()
    from reference.readahead.scale.sizing import sized

    return sized(_CENTRAL.shape(400_000), _CENTRAL.chunks, _CENTRAL.setup, PUBLISHED_WALK_S).leaves
