# SPDX-License-Identifier: GPL-2.0-or-later
"""What was wrong with what a direct read met, and what came of it: how many reads of each kind there are."""

from __future__ import annotations

from collections.abc import Iterator

from harness.direct_io.damage import Damage
from harness.direct_io.record import DirectRead, Layout
from reference.direct_io.mainline import Outcome

__all__ = ["damage_kinds"]


def damage_kinds(layout: Layout, read: DirectRead, outcome: Outcome) -> Iterator[str]:
    """Yield the kinds of damage that a read is counted under; none if nothing was bad."""
    damage = {copy.damaged for copy in read.copies}
    contents, done = layout.contents, outcome.completion
    places = [(one.logical, one.logical + one.bio.length) for one in outcome.submitted]
    kinds = {
        "corrupt copies": Damage.CORRUPT in damage,
        "copies that cannot be read": Damage.UNREADABLE in damage,
        "copies that cannot be read or written": Damage.BROKEN in damage,
        "what a read before has left": read.follows,
        "missing devices": any(not one.sent for one in outcome.submitted),
        "wrong checksums": _meets(places, contents.bad_sums),
        "streams that cannot be inflated": _meets(places, contents.broken),
        "blocks without good copy": bool(done.failed),
        "copies repaired": bool(done.writes),
        "blocks rebuilt": bool(done.reads) and _has_parity(layout, outcome),
    }
    yield from (f"reads: {kind}" for kind, is_so in kinds.items() if is_so)


def _meets(places: list[tuple[int, int]], blocks: set[int]) -> bool:
    return any(start <= block < end for start, end in places for block in blocks)


def _has_parity(layout: Layout, outcome: Outcome) -> bool:
    chunks = (layout.volume.chunks.lookup(one.logical) for one in outcome.submitted)
    return any(chunk is not None and chunk.parities for chunk in chunks)
