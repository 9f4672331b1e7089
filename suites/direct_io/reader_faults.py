# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults in the model of mainline's reads, that judging recorded reads has to bring to light."""

from __future__ import annotations

from suites.direct_io.fault import Fault

__all__ = ["READER_FAULTS"]

_GATE = (
    Fault(
        "place-not-checked",
        "the place in the file must be on a block",
        "mainline.read",
        "if (self.ki_pos | self.iter.alignment()) % BLOCK:",
        "if self.iter.alignment() % BLOCK:",
    ),
    Fault(
        "memory-not-checked",
        "addresses and lengths must be of whole blocks",
        "mainline.read",
        "if (self.ki_pos | self.iter.alignment()) % BLOCK:",
        "if self.ki_pos % BLOCK:",
    ),
    Fault(
        "sectors-suffice",
        "whole blocks, not sectors, are direct",
        "mainline.read",
        "if (self.ki_pos | self.iter.alignment()) % BLOCK:",
        "if (self.ki_pos | self.iter.alignment()) % 512:",
    ),
    Fault(
        "empty-vectors-count",
        "the address of an empty vector need not be aligned",
        "mainline.memory",
        "            if length:\n",
        "            if True:\n",
    ),
    Fault(
        "bases-not-compared",
        "two vectors with one base are buffered",
        "mainline.read",
        "return len(set(bases)) == len(bases)",
        "return True",
    ),
    Fault(
        "bases-of-empty-left-out",
        "an empty vector's base is compared too",
        "mainline.read",
        "[base for base, _ in self.iter.vectors]",
        "[base for base, length in self.iter.vectors if length]",
    ),
)

_IOMAP = (
    Fault(
        "no-limit",
        "one map gives 1 MiB at most",
        "mainline.read",
        "min(length, self.behaviour.read_limit * BLOCK)",
        "length",
    ),
    Fault(
        "limit-by-place",
        "the 1 MiB count from where the read has come to",
        "mainline.read",
        "min(length, self.behaviour.read_limit * BLOCK)",
        "min(length, self.behaviour.read_limit * BLOCK - pos % (self.behaviour.read_limit * BLOCK))",
    ),
    Fault(
        "inline-is-a-hole",
        "inline extents are buffered",
        "mainline.read",
        "if found.compressed or found.kind is MapKind.INLINE:",
        "if found.compressed:",
    ),
    Fault(
        "compressed-is-direct",
        "compressed extents are buffered",
        "mainline.read",
        "if found.compressed or found.kind is MapKind.INLINE:",
        "if found.kind is MapKind.INLINE:",
    ),
    Fault(
        "prealloc-is-read",
        "preallocated extents are zeros, without a bio",
        "mainline.read",
        "        if found.kind is MapKind.REG:\n",
        "        if found.has_blocks:\n",
    ),
    Fault(
        "not-tried-again",
        "what is left after a direct read is tried directly again",
        "mainline.read",
        "if not self.behaviour.tries_again or not done or not left or left == previous:",
        "if True:",
    ),
    Fault(
        "ends-with-the-block",
        "no more than the file has is returned",
        "mainline.read",
        "done = min(pos, i_size) - self.ki_pos",
        "done = pos - self.ki_pos",
    ),
    Fault(
        "stops-at-the-end",
        "memory behind the file's end is zeroed",
        "mainline.read",
        "(self.behaviour.reads_behind_eof or pos < i_size)",
        "pos < i_size",
    ),
    Fault(
        "not-reverted",
        "the memory behind the file's end counts as not read",
        "mainline.read",
        "            self.iter.revert(pos - i_size)\n",
        "            pass\n",
    ),
    Fault(
        "offset-in-extent-ignored",
        "a map is read from the place asked for",
        "mainline.read",
        "logical = found.block_start + pos - found.start",
        "logical = found.block_start",
    ),
    Fault(
        "falls-back-as-a-whole",
        "what was read directly is not read again",
        "mainline.read",
        "            return 0\n        length = min(length, found.end - pos)\n",
        "            self.outcome.submitted.clear()\n            return 0\n"
        "        length = min(length, found.end - pos)\n",
    ),
)

_NOWAIT = (
    Fault(
        "nowait-anyhow",
        "more than a page is not read without waiting",
        "mainline.read",
        "if self.nowait and self.behaviour.nowait_one_page and length > BLOCK:",
        "if False:",
    ),
    Fault(
        "nowait-buffered",
        "what is to be buffered is not read without waiting",
        "mainline.read",
        '            if self.nowait:\n                raise BlockingIOError(EAGAIN, "to be read through',
        '            if False:\n                raise BlockingIOError(EAGAIN, "to be read through',
    ),
)

_DEVICES = (
    Fault(
        "mirrors-cut",
        "reads of mirrored chunks do not end with stripes",
        "mainline.bios",
        "if chunk.profile & _STRIPED or (chunk.profile and behaviour.mirrored_cut):",
        "if chunk.profile:",
    ),
    Fault(
        "stripes-not-cut",
        "reads of striped chunks end with stripes",
        "mainline.bios",
        "return min(left, chunk.stripe_len - (logical - chunk.start) % chunk.stripe_len)",
        "return left",
    ),
    Fault(
        "stripe-too-long",
        "stripes have 64 KiB",
        "mainline.bios",
        "return min(left, chunk.stripe_len - (logical - chunk.start) % chunk.stripe_len)",
        "return min(left, 2 * chunk.stripe_len - (logical - chunk.start) % (2 * chunk.stripe_len))",
    ),
    Fault(
        "first-copy",
        "the thread chooses the copy",
        "mainline.bios",
        "tid % len(stripes) if chunk.profile & _BY_TASK else 0",
        "0",
    ),
    Fault(
        "next-copy",
        "the copy is the remainder of the thread's number",
        "mainline.bios",
        "tid % len(stripes) if",
        "(tid + 1) % len(stripes) if",
    ),
    Fault(
        "dup-by-thread",
        "of DUP the first copy is read",
        "mainline.bios",
        "tid % len(stripes) if chunk.profile & _BY_TASK else 0",
        "tid % len(stripes)",
    ),
    Fault(
        "all-at-once",
        "each part of a bio goes to its own place",
        "mainline.bios",
        "        logical += part\n",
        "",
    ),
)

_MAPS = (
    Fault(
        "never-merged",
        "maps that lie side by side are merged",
        "mainline.extent_map",
        "if one.end != behind.start or",
        "if True or",
    ),
    Fault(
        "merged-anyhow",
        "only maps that lie side by side on the disk too are merged",
        "mainline.extent_map",
        "one.block_start + one.len == behind.block_start",
        "True",
    ),
    Fault(
        "prealloc-merged",
        "preallocated and written parts are not merged",
        "mainline.extent_map",
        "one.kind is not behind.kind or",
        "",
    ),
    Fault(
        "compressed-merged",
        "compressed maps are not merged",
        "mainline.extent_map",
        " or one.item or behind.item:",
        ":",
    ),
    Fault(
        "not-merged-before",
        "a map is merged with the one before it",
        "mainline.extent_map",
        "if place and self._mergeable(",
        "if False and self._mergeable(",
    ),
    Fault(
        "not-merged-behind",
        "a map is merged with the one behind it",
        "mainline.extent_map",
        "if place + 1 < len(self._maps) and self._mergeable(",
        "if False and self._mergeable(",
    ),
    Fault(
        "maps-kept",
        "with the first page of a map the map is let go of",
        "mainline.extent_map",
        "if place >= 0 and self._maps[place].start == start:",
        "if False:",
    ),
    Fault(
        "maps-let-go-of-early",
        "with other pages of a map it is kept",
        "mainline.extent_map",
        "if place >= 0 and self._maps[place].start == start:",
        "if place >= 0 and start < self._maps[place].end:",
    ),
)

_PAGES = (
    Fault(
        "compressed-part-only",
        "the rest of a compressed extent is kept too",
        "mainline.page_cache",
        "            pages += self._add_ra_bio_pages((pages[-1] + 1) * BLOCK, begun.end)\n",
        "",
    ),
    Fault(
        "gives-up-early",
        "the rest is given up after five pages that are there",
        "mainline.page_cache",
        "if missed > MISSED_SECTORS:",
        "if missed >= MISSED_SECTORS:",
    ),
    Fault(
        "expanded-over-pages",
        "a batch is made longer up to the first page that is there",
        "mainline.page_cache",
        "            if page in self._pages:\n                return\n",
        "            if page in self._pages:\n                continue\n",
    ),
    Fault(
        "compressed-as-asked",
        "a compressed extent is read as a whole",
        "mainline.page_cache",
        "            length = begun.item.disk_num_bytes\n",
        "",
    ),
    Fault(
        "compressed-gathered",
        "two parts of a compressed extent are read one by one",
        "mainline.page_cache",
        "return found is self.map",
        "return found.disk_bytenr == self.map.disk_bytenr",
    ),
    Fault(
        "gathered-over-gaps",
        "only neighbours in the file too are gathered into a bio",
        "mainline.page_cache",
        "return self.joins_over_holes or self.pages[-1] * BLOCK + BLOCK == offset",
        "return True",
    ),
    Fault(
        "page-by-page",
        "pages that lie side by side are gathered into a bio",
        "mainline.page_cache",
        "return self.joins_over_holes or self.pages[-1] * BLOCK + BLOCK == offset",
        "return False",
    ),
    Fault(
        "cache-not-asked",
        "pages that are there are not read again",
        "mainline.page_cache",
        "            if page in self._pages:\n",
        "            if False:\n",
    ),
    Fault(
        "cache-never-dropped",
        "pages that were let go of are read again",
        "mainline.page_cache",
        "            self._pages.remove(page)\n",
        "",
    ),
    Fault(
        "inflated-from-start",
        "a compressed extent's data begin at its offset",
        "mainline.page_cache",
        "begin = inside + item.offset",
        "begin = inside",
    ),
    Fault(
        "buffered-beyond-the-end",
        "a buffered read ends with the file",
        "mainline.read",
        "end = min(start + left, self.file.i_size)",
        "end = start + left",
    ),
    Fault(
        "holes-untouched",
        "holes are zeroed",
        "mainline.read",
        "                self.iter.zero(data)\n",
        "                self.iter.copy(memoryview(bytes([1]) * data))\n",
    ),
)

_DAMAGE = (
    Fault(
        "repaired-from-nowhere",
        "a bad block is read from the next copy",
        "mainline.complete",
        "        self.send(self.done.reads, place)\n",
        "",
    ),
    Fault(
        "not-repaired",
        "good data are written over bad copies",
        "mainline.complete",
        "            self.done.repaired[place] = source\n",
        "",
    ),
    Fault(
        "last-one-repaired",
        "all bad copies are written over",
        "mainline.complete",
        "tried if self._behaviour.repairs_all else tried[-1:]",
        "tried[-1:]",
    ),
    Fault(
        "copies-from-the-first",
        "after the last copy comes the first",
        "mainline.repair",
        "    if behaviour.repairs_in_ring:\n",
        "    if False:\n",
    ),
    Fault(
        "counted-once",
        "each bad copy is counted",
        "mainline.complete",
        "+= state is BadBlock.CORRUPT and not rebuilt",
        "+= len(tried) == 1",
    ),
    Fault(
        "errors-always-told",
        "the error of a part that was cut off can be lost",
        "mainline.complete",
        "    return not failed & set(last.values())",
        "    return False",
    ),
    Fault(
        "first-block-only",
        "each block of a bio is checked",
        "mainline.complete",
        "        for inside in range(0, length, BLOCK):\n",
        "        for inside in range(0, BLOCK, BLOCK):\n",
    ),
    Fault(
        "chunks-not-shifted",
        "a chunk that was made longer shifts the next",
        "mainline.page_cache",
        "            index = yield from self._page_cache_ra_unbounded(index, min(index + chunk, end))\n",
        "            yield from self._page_cache_ra_unbounded(index, min(index + chunk, end))\n"
        "            index += chunk\n",
    ),
)

READER_FAULTS = (*_GATE, *_IOMAP, *_NOWAIT, *_DEVICES, *_MAPS, *_PAGES, *_DAMAGE)
"""All of them."""
