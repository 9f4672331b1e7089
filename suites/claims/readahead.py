# SPDX-License-Identifier: GPL-2.0-or-later
"""What the readahead series says of enumerating trees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from harness.claims import Figure, Plot, Series, Table
from suites.claims.claim import Claim, Found
from suites.claims.measure import Workbench
from suites.claims.readahead_devices import on_disks
from suites.claims.rules import all_of, by_ratios
from suites.claims.virtual_disks import (
    CONSTANTS,
    SIMULATED,
    VARIED,
    World,
    published_size,
    read_ahead,
    walk,
)

__all__ = ["BOTH_TREES", "EXTENT_TREE", "LETTER", "TOGETHER"]

LETTER = '"[PATCH v5 0/7] btrfs: generic readeahead interface", linux-btrfs, 2011'
PUBLISHED_RATIO = 351 / 41
PUBLISHED_BOTH = 49 / 41
SHARES = (0.1, 0.25, 0.5, 1.0)
"""How large the second tree is, as a share of the first."""


@lru_cache
def _pair(world: World) -> tuple[float, float]:
    """Return how long walk and readahead take in `world` over the tree of the published walk, s."""
    leaves = [published_size()]
    return walk(world, leaves).seconds, read_ahead(world, leaves).seconds


def _extent_tree(bench: Workbench) -> Found:
    rows = [(name, *_pair(world)) for name, world in VARIED]
    central = rows[0]
    facts = (
        by_ratios(
            f"simulated, constants as fixed: walk / readahead, against {PUBLISHED_RATIO:.2f}",
            [central[1] / central[2]],
            PUBLISHED_RATIO,
        ),
        by_ratios("simulated, one constant changed: walk / readahead", [w / r for _, w, r in rows[1:]]),
    )
    table = Table(
        "One constant changed (simulated)",
        ("what is different", "walk, s", "readahead, s", "walk / readahead"),
        tuple((name, w, r, w / r) for name, w, r in rows),
        f"One tree of {published_size():,} leaves, laid out anew where chunks or ageing differ.",
    )
    ratios = Series("walk / readahead", tuple(w / r for _, w, r in rows))
    names = tuple(name for name, _, _ in rows)
    bars = Plot("Speed-up (simulated)", "bars", names, (ratios,), "walk / readahead", PUBLISHED_RATIO)
    real, real_tables, real_plots = on_disks(bench, PUBLISHED_RATIO)
    central_world = VARIED[0][1]
    aged = [w for _, w in VARIED if replace(w, aged=central_world.aged) == central_world]
    several = [w for _, w in VARIED if replace(w, devices=central_world.devices) == central_world]
    along = (
        _along("how much was rewritten", "share of the leaves rewritten", aged, lambda w: w.aged),
        _along("the number of disks", "disks", several, lambda w: w.devices),
    )
    return Found((*facts, *real), (table, *real_tables, _published()), (bars, *along, *real_plots))


def _along(what: str, x_title: str, worlds: list[World], of: Callable[[World], float]) -> Plot:
    """Draw the speed-up in worlds that differ in one constant."""
    worlds = sorted(worlds, key=of)
    ratios = [walked / ahead for walked, ahead in map(_pair, worlds)]
    line = Series("walk / readahead", tuple(ratios))
    labels = tuple(f"{of(world):g}" for world in worlds)
    title = f"Speed-up against {what} (simulated)"
    return Plot(title, "lines", labels, (line,), "walk / readahead", PUBLISHED_RATIO, x_title)


def _published() -> Table:
    """The figures that are cited of this engine, from its first letter to its removal."""
    rows: tuple[tuple[Figure, ...], ...] = (
        ("cover letter, 7 disks: extent tree", 351, 41, 351 / 41),
        ("cover letter, 7 disks: extent and csum tree", None, 49, None),
        ("commit 7a26285e, scrub", 89, 43, 89 / 43),
        ("commit f26c9238 (removal), scrub of an SSD: throughput without it", None, None, 1 / 1.0242),
        (
            "commit f26c9238 (removal), scrub of a rotational disk: throughput without it",
            None,
            None,
            1 / 0.9431,
        ),
    )
    heads = ("published", "without, s", "with, s", "with readahead faster by a factor of")
    note = (
        "Published by others, not measured here. The removal saw scrub without the engine gain 2.42 % on an "
        "SSD and lose 5.69 % on a rotational disk. By then the limit on reads in flight was not enforced."
    )
    return Table("Published figures of the engine", heads, rows, note)


EXTENT_TREE = Claim(
    id="readahead/extent-tree",
    quotation="enumerating the extent tree (traditional): 351s - enumerating the extent tree "
    "(readahead): 41s",
    author="Arne Jansen",
    date="2011",
    source=f"{LETTER}, line 16",
    takes="The file system of the letter: 7 disks of 2011, and how old its extent tree was.",
    method="A synthetic tree is sized so that the traditional walk takes as long as published; then it is "
    "read ahead. Each constant that the letter does not give is varied by itself. Besides, small "
    "trees are read by both, in turns, from rotational disks in real time: by the model's engine, and by the "
    "last kernel's that had one (cases readahead/rotational and readahead/guest-rotational).",
    real="In real time: trees that kernels wrote, and reads of their blocks; in the guest, walk and engine "
    "are those of Linux 5.10 itself.",
    simulated="Figures marked so: a synthetic tree, the engine compiled, disks in virtual time "
    "(docs/disks.md). In real time: how long the disks take; the guest's processor.",
    constants=(("published ratio", f"351 / 41 = {PUBLISHED_RATIO:.2f}"), *CONSTANTS),
    rule=f"Constants as fixed: reproduced if the ratio is {PUBLISHED_RATIO:.2f} or more, partly if above 1. "
    "With one constant changed: reproduced if the median is 2 or more and none is 1 or less, partly if the "
    f"median exceeds 1. In real time: reproduced if the interval lies at {PUBLISHED_RATIO:.2f} or above, "
    "partly if above 1. Partly where these differ.",
    measure=_extent_tree,
    deviations=(
        "How aged the tree of the letter was is not known, and decides most: see the table.",
        "The rule was written after first figures had been seen; constants are those that tree and disks had "
        "before.",
    ),
)


def _both_trees(_: Workbench) -> Found:
    world = VARIED[0][1]
    first = published_size()
    alone = read_ahead(world, [first])
    rows = []
    for share in SHARES:
        leaves = [first, round(first * share)]
        both = read_ahead(world, leaves, (0, 1))
        rows.append((share, both.blocks / alone.blocks, both.seconds, both.seconds / alone.seconds))
    less = [time < blocks for _, blocks, _, time in rows]
    said = f"{sum(less)} of {len(less)} sizes of the csum tree"
    facts = (
        all_of("simulated: reading both takes less in proportion than the blocks there are more", said, less),
        all_of(
            "simulated: there is a csum tree with which both take what is published, or less",
            f"shortest {min(r[3] for r in rows):.2f}, published {PUBLISHED_BOTH:.2f} times the extent tree's",
            [min(r[3] for r in rows) <= PUBLISHED_BOTH],
        ),
    )
    table = Table(
        "Extent and csum tree at once (simulated)",
        ("csum tree, share of the extent tree", "blocks, times", "seconds", "time, times"),
        tuple(rows),
        f"The extent tree alone takes {alone.seconds:.1f} s.",
    )
    labels = tuple(f"{share:g}" for share in SHARES)
    lines = (Series("time", tuple(r[3] for r in rows)), Series("blocks", tuple(r[1] for r in rows)))
    title = "Both trees, multiples of the extent tree alone (simulated)"
    plot = Plot(
        title, "lines", labels, lines, "times the extent tree's", PUBLISHED_BOTH, "size of the csum tree"
    )
    return Found(facts, (table, _published()), (plot,))


BOTH_TREES = Claim(
    id="readahead/extent-and-csum-tree",
    quotation="enumerating extents+csum tree (readahead): 49s",
    author="Arne Jansen",
    date="2011",
    source=f"{LETTER}, line 18",
    takes="The sizes of both trees, which the letter does not give.",
    method="Both trees are read ahead at once, the second as large as several shares of the first.",
    real="Nothing.",
    simulated=SIMULATED,
    constants=(
        ("published ratio", f"49 / 41 = {PUBLISHED_BOTH:.2f}"),
        ("sizes of the csum tree", ", ".join(f"{share:g}" for share in SHARES) + " of the extent tree"),
        *CONSTANTS,
    ),
    rule="Reproduced if time grows by less than blocks do at each size, partly if at some; and if there is a "
    "size at which both take the published multiple or less. Partly where these differ.",
    measure=_both_trees,
)


def _together(_: Workbench) -> Found:
    leaves = [published_size() // 4] * 2
    rows: list[tuple[str, float, float, float]] = []
    for name, world in VARIED:
        one, other = (read_ahead(world, leaves, (tree,)).seconds for tree in (0, 1))
        both = read_ahead(world, leaves, (0, 1)).seconds
        rows.append((name, one + other, both, (one + other) / both))
    ratios = [row[3] for row in rows]
    fact = by_ratios("simulated: one after another / both at once", ratios, 1.0)
    table = Table(
        "Two trees (simulated)",
        ("what is different", "one after another, s", "both at once, s", "ratio"),
        tuple(rows),
    )
    bars = Series("one after another / both at once", tuple(ratios))
    names = tuple(row[0] for row in rows)
    plot = Plot("Two readaheads at once (simulated)", "bars", names, (bars,), "times as fast", 1.0)
    return Found((fact,), (table,), (plot,))


TOGETHER = Claim(
    id="readahead/together",
    quotation="2 parallel readaheads will normally finish faster than the 2 started one after another",
    author="Arne Jansen",
    date="2011",
    source="fs/btrfs/reada.c of 2011, line 1005",
    takes="Two trees on the same disks.",
    method="Two trees of the same size and the same chunks are read ahead, one after the other and both at "
    "once, with each constant changed by itself.",
    real="Nothing.",
    simulated=SIMULATED,
    constants=(("trees", "two, each a quarter of the one that the walk takes 351 s over"), *CONSTANTS),
    rule="Reproduced if both at once are faster each time, partly if the median is.",
    measure=_together,
)
