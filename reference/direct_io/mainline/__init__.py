# SPDX-License-Identifier: GPL-2.0-or-later
"""Direct reads as kernels do them since they have iomap (fs/btrfs/direct-io.c of 6.18).

What a read does depends on what was read before: extent maps stay in a cache, where neighbours are merged,
and pages that a buffered read has left are not read again. So a `Reader` is one open file, and is given its
reads in the order in which they were made.
"""

from __future__ import annotations

from reference.direct_io.mainline.behaviour import Behaviour
from reference.direct_io.mainline.bios import Bio, BioKind
from reference.direct_io.mainline.file import Contents, File, Volume
from reference.direct_io.mainline.memory import IovIter
from reference.direct_io.mainline.read import DirectCall, Outcome, Reader

__all__ = [
    "Behaviour",
    "Bio",
    "BioKind",
    "Contents",
    "DirectCall",
    "File",
    "IovIter",
    "Outcome",
    "Reader",
    "Volume",
]
