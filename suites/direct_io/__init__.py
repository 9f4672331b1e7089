# SPDX-License-Identifier: GPL-2.0-or-later
"""Direct reads: what shows the defects of the patch of 2010, and what faults in the models come to light."""

from __future__ import annotations

from suites.direct_io import cases, deep_cases, fault_cases, fio_cases, speed_cases, writer_cases

__all__ = ["CASES"]

CASES = (
    *cases.CASES,
    *deep_cases.CASES,
    *fault_cases.CASES,
    *fio_cases.CASES,
    *speed_cases.CASES,
    *writer_cases.CASES,
)
"""Every case of the suite."""
