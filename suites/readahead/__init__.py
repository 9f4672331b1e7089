# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases for the readahead engine (btrfs reada.c)."""

from __future__ import annotations

from suites.readahead import device_cases, guest_cases

__all__ = ["CASES"]

CASES = (*device_cases.CASES, *guest_cases.CASES)
"""Every case of the suite."""
