# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases for the readahead engine (btrfs reada.c)."""

from __future__ import annotations

from suites.readahead import guest_cases

__all__ = ["CASES"]

CASES = (*guest_cases.CASES,)
"""Every case of the suite."""
