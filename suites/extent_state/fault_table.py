# SPDX-License-Identifier: GPL-2.0-or-later
"""The faults that are put into the model, one at a time: what each is, and the edit that makes it."""

from __future__ import annotations

from suites.extent_state.fault_operations import OPERATIONS
from suites.extent_state.fault_states import STATES

__all__ = ["FAULTS"]

FAULTS = (*STATES, *OPERATIONS)
"""Every fault."""
