# SPDX-License-Identifier: GPL-2.0-or-later
"""What reada.c says of how it uses disks."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from harness.claims import Plot, Series, Table
from suites.claims.claim import Claim, Found
from suites.claims.measure import Workbench
from suites.claims.rules import all_of, by_ratios, holds
from suites.claims.virtual_disks import (
    CONSTANTS,
    SIMULATED,
    VARIED,
    World,
    published_size,
    read_ahead,
    trees,
    walk,
)

if TYPE_CHECKING:
    from reference.readahead.scale.simulate import Simulated
    from reference.readahead.scale.trees import Trees

__all__ = ["ALL_DISKS", "MIRROR_SIDES"]

SOURCE = "fs/btrfs/reada.c of 2011"
_POINTS = 160
"""Of a plot over time."""

Times = NDArray[np.int64]


@lru_cache
def _read(world: World) -> tuple[Trees, Simulated]:
    leaves = [published_size()]
    return trees(world, leaves), read_ahead(world, leaves)


def _busy(simulated: Simulated, devices: int) -> list[float]:
    """Return the share of the whole time that each disk served somebody."""
    requests = simulated.requests
    served = np.bincount(requests["disk"], requests["ended_ns"] - requests["started_ns"], devices)
    return [float(ns) / 1e9 / simulated.seconds for ns in served]


def _all_disks(_: Workbench) -> Found:
    central = VARIED[0][1]
    several = [(name, world) for name, world in VARIED if world.devices > 1]
    rows = []
    for name, world in several:
        ahead = _busy(_read(world)[1], world.devices)
        walked = _busy(walk(world, [published_size()]), world.devices)
        rows.append((name, min(ahead), sum(ahead) / len(ahead), sum(ahead), sum(walked)))
    busy = _busy(_read(central)[1], central.devices)
    facts = (
        all_of(
            "simulated, constants as fixed: each disk is busy half of the time or more",
            f"from {min(busy):.0%} to {max(busy):.0%} of the time",
            [share >= 0.5 for share in busy],
        ),
        by_ratios("simulated: disks busy at once, readahead / walk", [row[3] / row[4] for row in rows]),
    )
    table = Table(
        "Disks that are busy (simulated)",
        (
            "what is different",
            "least busy disk, share of the time",
            "mean",
            "busy at once, readahead",
            "busy at once, walk",
        ),
        tuple(rows),
    )
    return Found(facts, (table,), (_heads(central), _in_flight(central)))


def _heads(world: World) -> Plot:
    """Draw where each disk last turned to, over time."""
    whole, simulated = _read(world)
    times = _over_time(simulated)
    lines = []
    for disk in range(world.devices):
        mine = simulated.requests[simulated.requests["disk"] == disk]
        mine = mine[np.argsort(mine["started_ns"])]
        place = whole.physical[mine["block"], mine["copy"]] / 1e9
        last = np.searchsorted(mine["started_ns"], times, "right") - 1
        lines.append(Series(f"disk {disk + 1}", tuple(float(place[n]) if n >= 0 else None for n in last)))
    title = "Where each disk reads (simulated, constants as fixed)"
    return Plot(title, "lines", _seconds(times), tuple(lines), "GB from the disk's start", None, "seconds")


def _in_flight(world: World) -> Plot:
    """Draw how many reads were submitted and not done, over time, in all and on each disk."""
    requests = _read(world)[1].requests
    times = _over_time(_read(world)[1])
    lines = [Series("all", _under_way(requests["submitted_ns"], requests["ended_ns"], times))]
    for disk in range(world.devices):
        mine = requests[requests["disk"] == disk]
        lines.append(Series(f"disk {disk + 1}", _under_way(mine["submitted_ns"], mine["ended_ns"], times)))
    title = "Reads in flight (simulated, constants as fixed)"
    return Plot(title, "lines", _seconds(times), tuple(lines), "reads", None, "seconds")


def _over_time(simulated: Simulated) -> Times:
    return np.linspace(0, simulated.seconds * 1e9, _POINTS).astype(np.int64)


def _under_way(begun: Times, ended: Times, times: Times) -> tuple[float, ...]:
    behind = np.searchsorted(np.sort(begun), times, "right") - np.searchsorted(np.sort(ended), times, "right")
    return tuple(map(float, behind))


def _seconds(times: Times) -> tuple[str, ...]:
    return tuple(f"{time / 1e9:.1f}" for time in times)


ALL_DISKS = Claim(
    id="readahead/all-disks",
    quotation="all disks will by utilized in parallel",
    author="Arne Jansen",
    date="2011",
    source=f"{SOURCE}, line 1000",
    takes="How long each disk works while a tree is read ahead.",
    method="A tree is read ahead and walked over; the time that each disk serves requests is divided by the "
    "whole time.",
    real="Nothing.",
    simulated=SIMULATED,
    constants=CONSTANTS,
    rule="With constants as fixed: reproduced if each disk is busy half of the time, partly if some are. "
    "Over all variations with several disks: reproduced if the median of the disks busy at once is twice the "
    "walk's or more, and more than the walk's each time, partly if the median is more. Partly where these "
    "differ.",
    measure=_all_disks,
)


def shared(group: NDArray[np.int32], disk: NDArray[np.int16], begun: Times, ended: Times) -> int:
    """Return how many reads were served while another disk served one of the same block group."""
    count = 0
    latest: dict[int, dict[int, int]] = {}
    for n in np.argsort(begun, kind="stable"):
        others = latest.setdefault(int(group[n]), {})
        count += any(end > begun[n] for other, end in others.items() if other != disk[n])
        others[int(disk[n])] = int(ended[n])
    return count


def _mirror_sides(_: Workbench) -> Found:
    rows = []
    for name, world in VARIED:
        if world.profile.copies == 1:
            continue
        whole, simulated = _read(world)
        requests = simulated.requests
        wrong = shared(
            whole.group[requests["block"]], requests["disk"], requests["started_ns"], requests["ended_ns"]
        )
        rows.append((name, len(requests), wrong, wrong / len(requests)))
    facts = tuple(
        holds(f"simulated, {name}: reads beside one of the same mirror", n, w) for name, n, w, _ in rows
    )
    table = Table(
        "Reads served while another disk read in the same block group (simulated)",
        ("what is different", "reads", "beside another", "share"),
        tuple(rows),
        "RAID0 parts within a RAID10 group are no mirrors of one another, but share the zone as well.",
        4,
    )
    bars = Series("share of reads", tuple(row[3] for row in rows))
    plot = Plot(
        "Reads beside one of the same mirror (simulated)",
        "bars",
        tuple(r[0] for r in rows),
        (bars,),
        "share of reads",
    )
    return Found(facts, (table,), (plot,))


MIRROR_SIDES = Claim(
    id="readahead/mirror-sides",
    quotation="no two disks read both sides of a mirror simultaneously",
    author="Arne Jansen",
    date="2011",
    source=f"{SOURCE}, line 1001",
    takes="When each disk reads where.",
    method="For each read it is looked whether another disk was reading in the same block group meanwhile.",
    real="Nothing.",
    simulated=SIMULATED,
    constants=CONSTANTS,
    rule="Reproduced if it never happens; a conclusion for each variation with mirrors. Partly where they "
    "differ.",
    measure=_mirror_sides,
    deviations=(
        "The engine prefers zones that no other disk is in, and takes another's when there is nothing else: "
        "docs/readahead.md.",
    ),
)
