# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults in what is peculiar to one kernel, which reads recorded on that kernel have to bring to light."""

from __future__ import annotations

from suites.direct_io.fault import Fault

__all__ = ["KERNEL_FAULTS"]

KERNEL_FAULTS = {
    "debian-5.10": (
        Fault(
            "block-by-block",
            "5.10 maps a block at a time",
            "mainline.read",
            "min(length, self.behaviour.read_limit * BLOCK)",
            "min(length, 256 * BLOCK)",
        ),
        Fault(
            "old-behind-eof",
            "5.10 ends with the block in which the file ends",
            "mainline.read",
            "(self.behaviour.reads_behind_eof or pos < i_size)",
            "True",
        ),
        Fault(
            "old-tries-again",
            "5.10 reads directly once",
            "mainline.read",
            "if not self.behaviour.tries_again or not done",
            "if not done",
        ),
        Fault(
            "old-sync-flag",
            "until 6.12 direct reads have no REQ_SYNC",
            "mainline.read",
            "kind = BioKind.DIRECT if self.behaviour.direct_is_sync else BioKind.UNFLAGGED",
            "kind = BioKind.DIRECT",
        ),
        Fault(
            "no-page-behind",
            "5.10 adds a page behind a file that ends with one",
            "mainline.read",
            "if self.behaviour.adds_page_behind_eof and",
            "if False and",
        ),
        Fault(
            "page-behind-unasked",
            "nor if the read ends with the file",
            "mainline.read",
            "position == end < start + left:",
            "position == end:",
        ),
        Fault(
            "neighbours-in-file",
            "5.10 asks for neighbours on the disk only",
            "mainline.page_cache",
            "return self.joins_over_holes or self.pages[-1] * BLOCK + BLOCK == offset",
            "return self.pages[-1] * BLOCK + BLOCK == offset",
        ),
        Fault(
            "mirrors-not-cut",
            "5.10 cuts reads of mirrored chunks at stripes",
            "mainline.bios",
            "if chunk.profile & _STRIPED or (chunk.profile and behaviour.mirrored_cut):",
            "if chunk.profile & _STRIPED:",
        ),
        Fault(
            "first-page-repaired",
            "5.10 repairs a compressed extent for each of its pages",
            "mainline.inflated",
            "for page in pages:",
            "for page in pages[:1]:",
        ),
        Fault(
            "not-read-alone",
            "5.10 reads each page of a bad compressed extent alone first",
            "mainline.inflated",
            "several = len(pages) > 1 and len(self._volume.copies(self._logical)) > 1",
            "several = False",
        ),
        Fault(
            "repaired-as-it-was",
            "5.10 leaves an inflated page in the place of what is compressed",
            "mainline.inflated",
            "self._ends.done.overwritten.setdefault(place, []).append(page)",
            "self._ends.done.repaired[place] = place",
        ),
        Fault(
            "old-ring",
            "5.10 tries copies from the first on",
            "mainline.repair",
            "if behaviour.repairs_in_ring:",
            "if True:",
        ),
        Fault(
            "old-repairs-every-copy",
            "5.10 writes over the copy that failed last",
            "mainline.complete",
            "tried if self._behaviour.repairs_all else tried[-1:]",
            "tried",
        ),
    ),
    "debian-6.1": (
        Fault(
            "merged-with-merged",
            "6.1 does not merge maps of which one is made of several",
            "mainline.extent_map",
            "if one.merged is not behind.merged and not self._merges_merged:",
            "if False:",
        ),
        Fault(
            "never-marked-merged",
            "6.1 marks merged maps",
            "mainline.extent_map",
            "        one.merged = True\n",
            "",
        ),
        Fault(
            "maps-let-go",
            "6.1 keeps maps when their pages go",
            "mainline.page_cache",
            "if self._behaviour.releases_maps:",
            "if True:",
        ),
        Fault(
            "empty-vectors-ignored",
            "an empty vector at an odd address is an error until 6.12",
            "mainline.read",
            "if self.behaviour.checks_empty_vectors and not",
            "if False and not",
        ),
    ),
    "debian-6.12": (
        Fault(
            "empty-vectors-pass",
            "an empty vector at an odd address is an error until 6.12",
            "mainline.read",
            "if self.behaviour.checks_empty_vectors and not",
            "if False and not",
        ),
        Fault(
            "holes-checked",
            "only where a bio is made",
            "mainline.read",
            "            self.outcome.add_part(pos, pos + length, How.HOLE)\n",
            "            if not self.iter.is_aligned(512):\n                raise OSError(EINVAL)\n",
        ),
        Fault(
            "sync-flag",
            "until 6.12 direct reads have no REQ_SYNC",
            "mainline.read",
            "kind = BioKind.DIRECT if self.behaviour.direct_is_sync else BioKind.UNFLAGGED",
            "kind = BioKind.DIRECT",
        ),
    ),
    "debian-sid": (
        Fault(
            "next-vector-unchecked",
            "7.2 reads by pages if the next vector is at an odd address",
            "mainline.read",
            "if self.behaviour.checks_next_vector and not",
            "if False and not",
        ),
        Fault(
            "next-vector-not-empty",
            "the next one, empty or not",
            "mainline.memory",
            "        return not (self.vectors[self._vector].iov_base + self._inside) % unit\n",
            "        return True or unit\n",
        ),
        Fault(
            "bio-stops-before-empty",
            "a bio steps over empty vectors behind it",
            "mainline.memory",
            "            place += len(part)\n        self._skip_empty()\n",
            "            place += len(part)\n",
        ),
        Fault(
            "zeroing-steps-over",
            "zeroing does not step over them",
            "mainline.memory",
            "            length -= part\n\n    def revert",
            "            length -= part\n        self._skip_empty()\n\n    def revert",
        ),
    ),
}
"""By the folder of the bundles."""
