# SPDX-License-Identifier: GPL-2.0-or-later
"""What mainline's direct read does, 5.10 to 7.2: see docs/direct-io.md.

What a read does depends on what was read before: extent maps stay in a cache, where neighbours are merged,
and pages that a buffered read has left are not read again. So a `Reader` is one open file, and is given its
reads in the order in which they were made.
"""

from __future__ import annotations

from reference.direct_io.mainline.behaviour import Behaviour
from reference.direct_io.mainline.bios import Bio, BioKind, Submitted
from reference.direct_io.mainline.complete import Completion, Piece, error_may_be_lost
from reference.direct_io.mainline.file import BadBlock, Contents, File, Volume
from reference.direct_io.mainline.kernels import FEATURES, behaviour_of
from reference.direct_io.mainline.memory import IovIter
from reference.direct_io.mainline.outcome import DirectCall, How, Outcome, Part, Timing
from reference.direct_io.mainline.read import Reader

__all__ = [
    "FEATURES",
    "BadBlock",
    "Behaviour",
    "Bio",
    "BioKind",
    "Completion",
    "Contents",
    "DirectCall",
    "File",
    "How",
    "IovIter",
    "Outcome",
    "Part",
    "Piece",
    "Reader",
    "Submitted",
    "Timing",
    "Volume",
    "behaviour_of",
    "error_may_be_lost",
]
