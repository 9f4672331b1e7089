# SPDX-License-Identifier: GPL-2.0-or-later
"""The suite of bcache: what its btree, buckets and garbage collection do, followed key by key."""

from __future__ import annotations

from suites.bcache import cases, crash_cases

__all__ = ["CASES"]

CASES = (*cases.CASES, *crash_cases.CASES)
"""Every case of the suite."""
