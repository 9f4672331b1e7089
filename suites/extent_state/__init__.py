# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases for the extent-state tree (btrfs extent-io-tree)."""

from __future__ import annotations

from suites.extent_state import file_io, fsx, ranges, recorded, volumes

__all__ = ["CASES"]

CASES = (*file_io.CASES, *ranges.CASES, *fsx.CASES, *volumes.CASES, *recorded.CASES)
"""Every case of the suite."""
