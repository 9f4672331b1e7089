# SPDX-License-Identifier: GPL-2.0-or-later
"""What mainline's direct read does, 5.10 to 6.18: see docs/direct-io.md."""

from __future__ import annotations

from reference.direct_io.mainline.behaviour import Behaviour
from reference.direct_io.mainline.predict import How, Part, Prediction, predict
from reference.direct_io.mainline.repair import BioRange

__all__ = ["Behaviour", "BioRange", "How", "Part", "Prediction", "predict"]
