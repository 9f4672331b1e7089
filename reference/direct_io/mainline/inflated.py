# SPDX-License-Identifier: GPL-2.0-or-later
"""What 5.10 does about a compressed extent that is bad (`Behaviour.repairs_inflated`).

Checksums are those of what is compressed, but copies are tried page by page of what is inflated: each page
has all of the extent read again, and what is written over the bad copy is the inflated page.
"""

from __future__ import annotations

from collections.abc import Sequence

from reference.direct_io.mainline.behaviour import Behaviour
from reference.direct_io.mainline.bios import Submitted, cut
from reference.direct_io.mainline.complete import BioEnds
from reference.direct_io.mainline.file import BadBlock, Volume
from reference.direct_io.mainline.repair import next_mirror
from reference.readahead.source import Stripe

__all__ = ["InflatedRepair"]


class InflatedRepair:
    """The end of the bios of one compressed extent (`end_compressed_bio_read`, fs/btrfs/compression.c)."""

    def __init__(
        self, ends: BioEnds, volume: Volume, behaviour: Behaviour, logical: int, length: int
    ) -> None:
        """`logical` and `length` are the extent's on devices, bytes."""
        self._ends = ends
        self._volume = volume
        self._behaviour = behaviour
        self._logical = logical
        self._length = length

    def end_compressed_bio_read(self, parts: Sequence[Submitted], pages: Sequence[bytes]) -> bool:
        """Return whether a good copy was found at last; `pages` are those that wait for it, inflated."""
        if not self._are_bad([(Stripe(*one.bio[1:3]), one.logical, one.bio.length) for one in parts]):
            return True
        mirror, found = parts[-1].mirror_num, True
        # Of several pages that failed each is read alone first, to know which are bad
        # (`btrfs_io_needs_validation`).
        several = len(pages) > 1 and len(self._volume.copies(self._logical)) > 1
        for page in pages:
            if not several or self._read(mirror):
                found &= self._btrfs_submit_read_repair(mirror, page)
        return found

    def _btrfs_submit_read_repair(self, failed: int, page: bytes) -> bool:
        """Look for a good copy for one page, and write the page over the one that failed last."""
        copies = self._volume.copies(self._logical)
        tried = 0
        while True:
            following = next_mirror(self._behaviour, failed, tried, failed, len(copies))
            if following is None:
                return False
            tried = following
            if not self._read(tried):
                break
            failed = tried
        place = copies[failed - 1]
        self._ends.send(self._ends.done.writes, place)
        self._ends.done.overwritten.setdefault(place, []).append(page)
        return True

    def _read(self, mirror: int) -> bool:
        """Read all of the extent from a copy; return whether that is bad."""
        pieces = [
            (self._volume.copies(logical)[mirror - 1], logical, part)
            for _, logical, part in cut(self._logical, self._length, self._volume, self._behaviour)
        ]
        for place, _, part in pieces:
            self._ends.send(self._ends.done.reads, place, part)
        return self._are_bad(pieces)

    def _are_bad(self, pieces: Sequence[tuple[Stripe, int, int]]) -> bool:
        """Whether anything is bad. The first bad checksum counts, on the device of the bio that ends last."""
        bad: set[BadBlock] = set()
        for place, logical, part in pieces:
            bad.update(self._ends.bad_blocks(place, logical, part).values())
        if bad == {BadBlock.CORRUPT}:
            self._ends.done.corruption_errs[pieces[-1][0].devid] += 1
        return bool(bad)
