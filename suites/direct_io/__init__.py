# SPDX-License-Identifier: GPL-2.0-or-later
"""Direct reads: what shows the defects of the patch of 2010, and what faults in the models come to light."""

from __future__ import annotations

from suites.direct_io import cases, fault_cases, writer_cases

__all__ = ["CASES"]

CASES = (*cases.CASES, *fault_cases.CASES, *writer_cases.CASES)
"""Every case of the suite."""
