# SPDX-License-Identifier: GPL-2.0-or-later
"""What is wrong with the patches of July 2007, each defect found by the checks: see docs/bugs-2007.md."""

from __future__ import annotations

from reference.bugs.catalogue import WAYS, Row, clean, hunt, reproducer_of
from reference.bugs.reproducer import Catch, Random, RandomOf, Reproducer, Shown
from reference.bugs.version import (
    ALL_DEFECTS,
    STRUCTURES,
    Half,
    Structure,
    Version,
    corrected,
    half_of,
    having,
)

__all__ = [
    "ALL_DEFECTS",
    "STRUCTURES",
    "WAYS",
    "Catch",
    "Half",
    "Random",
    "RandomOf",
    "Reproducer",
    "Row",
    "Shown",
    "Structure",
    "Version",
    "clean",
    "corrected",
    "half_of",
    "having",
    "hunt",
    "reproducer_of",
]
