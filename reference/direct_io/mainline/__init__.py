# SPDX-License-Identifier: GPL-2.0-or-later
"""What mainline's direct read does, 5.10 to 6.18: see docs/direct-io.md.

What a read does depends on what was read before: extent maps stay in a cache, where neighbours are merged,
and pages that a buffered read has left are not read again. So a `Reader` is one open file, and is given its
reads in the order in which they were made. `predict` is for one read that comes first.
"""

from __future__ import annotations

from reference.direct_io.mainline.behaviour import Behaviour
from reference.direct_io.mainline.bios import Bio, BioKind, Submitted
from reference.direct_io.mainline.complete import Completion, complete, error_may_be_lost
from reference.direct_io.mainline.file import Contents, File, Volume
from reference.direct_io.mainline.kernels import FEATURES, behaviour_of
from reference.direct_io.mainline.memory import IovIter
from reference.direct_io.mainline.predict import How, Part, Prediction, predict
from reference.direct_io.mainline.read import DirectCall, Outcome, Reader
from reference.direct_io.mainline.repair import BioRange

__all__ = [
    "FEATURES",
    "Behaviour",
    "Bio",
    "BioKind",
    "BioRange",
    "Completion",
    "Contents",
    "DirectCall",
    "File",
    "How",
    "IovIter",
    "Outcome",
    "Part",
    "Prediction",
    "Reader",
    "Submitted",
    "Volume",
    "behaviour_of",
    "complete",
    "error_may_be_lost",
    "predict",
]
