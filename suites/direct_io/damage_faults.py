# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults in what the model says of bad copies, that judging recorded reads of them has to bring to light."""

from __future__ import annotations

from suites.direct_io.fault import Fault

__all__ = ["DAMAGE_FAULTS"]

_DEVICES = (
    Fault(
        "block-fails-alone",
        "a bio that fails has no good block",
        "mainline.complete",
        "        if BadBlock.UNREADABLE in found.values():\n",
        "        if False:\n",
    ),
    Fault(
        "reads-ahead-counted",
        "reads that are only ahead are not counted when they fail",
        "mainline.complete",
        "if kind is not BioKind.BUFFERED:",
        "if True:",
    ),
    Fault(
        "other-copies-not-counted",
        "reads of other copies are counted when they fail",
        "mainline.complete",
        "        self._count_failure(place.devid, found.values())\n        return",
        "        return",
    ),
    Fault(
        "missing-devices-read",
        "of a missing device no copy is read again",
        "mainline.complete",
        "        if place.devid in self._volume.present:\n            bios.append",
        "        if True:\n            bios.append",
    ),
    Fault(
        "missing-devices-repaired",
        "nothing is written to a missing device",
        "mainline.complete",
        "if place.devid in self._volume.present and not self._volume.read_only:",
        "if not self._volume.read_only:",
    ),
    Fault(
        "missing-devices-chosen",
        "a copy is read first whose device is there",
        "mainline.bios",
        "stripes[n].devid in volume.present)",
        "True)",
    ),
    Fault(
        "good-whatever-was-written",
        "without checksums what another copy has is written, good or not",
        "mainline.complete",
        "self.done.repaired[place] = source",
        "self.done.repaired[place] = REBUILT",
    ),
)

_ROWS = (
    Fault(
        "never-rebuilt",
        "a bad block of RAID5 and 6 is rebuilt",
        "mainline.complete",
        "return [mapping.stripes[0]] * chunk.mirrors if",
        "return [mapping.stripes[0]] if",
    ),
    Fault(
        "rebuilt-once",
        "RAID6 gives up one other stripe after the other",
        "mainline.complete",
        "[mapping.stripes[0]] * chunk.mirrors if",
        "[mapping.stripes[0]] * 2 if",
    ),
    Fault(
        "rebuilt-unread",
        "the rest of the row is read",
        "mainline.complete",
        "        self.done.reads += recovery.reads\n",
        "",
    ),
    Fault(
        "rebuilt-and-counted",
        "what is rebuilt badly is counted for no device",
        "mainline.complete",
        "+= state is BadBlock.CORRUPT and not rebuilt",
        "+= state is BadBlock.CORRUPT",
    ),
    Fault(
        "rebuilt-unchecked",
        "what is rebuilt has to have the checksum of the tree",
        "mainline.complete",
        "return bool(self._contents.bad_blocks(REBUILT.devid, place.physical, logical, BLOCK))",
        "return False",
    ),
    Fault(
        "given-up-read",
        "a block that is given up is not read",
        "mainline.raid56",
        "_runs(columns, column if number in given_up else None)",
        "_runs(columns, None)",
    ),
    Fault(
        "column-only",
        "up to 64 KiB of each device are read",
        "mainline.raid56",
        "        yield 0, columns\n",
        "        yield 0, 1\n",
    ),
    Fault(
        "missing-not-given-up",
        "a missing device is an error in each column",
        "mainline.raid56",
        "            for met in errors:\n                met.add(number)\n",
        "",
    ),
    Fault(
        "row-fails-alone",
        "a read that fails is an error in all of its columns",
        "mainline.raid56",
        "            if any(state(block) is BadBlock.UNREADABLE for block in blocks):\n",
        "            if False:\n",
    ),
    Fault(
        "one-error-fewer",
        "there can be as many errors as parities",
        "mainline.raid56",
        "if any(len(met) > chunk.parities for met in errors):",
        "if any(len(met) >= chunk.parities for met in errors):",
    ),
    Fault(
        "q-always-used",
        "Q is used only where P does not do",
        "mainline.raid56",
        "if n not in errors and not (n == q and with_p)]",
        "if n not in errors]",
    ),
    Fault(
        "corrupt-rows-good",
        "what is rebuilt from corrupt blocks is bad",
        "mainline.raid56",
        "BadBlock.CORRUPT if corrupt else None",
        "None",
    ),
)

_PAGES = (
    Fault(
        "readahead-kept",
        "each page that cannot be read makes what is read ahead smaller",
        "mainline.page_cache",
        "        self._ra_pages //= 4\n",
        "        pass\n",
    ),
    Fault(
        "readahead-halved",
        "it becomes a quarter",
        "mainline.page_cache",
        "        self._ra_pages //= 4\n",
        "        self._ra_pages //= 2\n",
    ),
    Fault(
        "readahead-never-ends",
        "in the end one page is read at a time",
        "mainline.page_cache",
        "if self._ra_pages else 1)",
        "if True else 1)",
    ),
    Fault(
        "streams-inflated",
        "what cannot be inflated cannot be read",
        "mainline.read",
        "            if fails or self.contents.inflated(bio.packed) is None:\n",
        "            if fails:\n",
    ),
    Fault(
        "pages-fail-alone",
        "a block without good copy has all pages of its bio fail",
        "mainline.read",
        "elif fails and self.behaviour.pages_fail_together and not",
        "elif False and not",
    ),
    Fault(
        "errors-to-the-end",
        "what comes before a page that cannot be read is returned",
        "mainline.read",
        "            if position == start:\n                raise\n",
        "            raise\n",
    ),
)

DAMAGE_FAULTS = (*_DEVICES, *_ROWS, *_PAGES)
"""All of them."""
