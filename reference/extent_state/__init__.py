# SPDX-License-Identifier: GPL-2.0-or-later
"""Reference model of btrfs's extent-io-tree (fs/btrfs/extent-io-tree.c): see docs/extent-state.md."""

from __future__ import annotations

from reference.extent_state.behaviour import FEATURES, Behaviour, UnknownBehaviourError
from reference.extent_state.bits import LINUX_6_18, BitLayout, MissingBitError
from reference.extent_state.invariants import InvariantError
from reference.extent_state.state import U64_MAX, ExtentState
from reference.extent_state.tree import DONE, FAILED, ExtentIoTree

__all__ = [
    "DONE",
    "FAILED",
    "FEATURES",
    "LINUX_6_18",
    "U64_MAX",
    "Behaviour",
    "BitLayout",
    "ExtentIoTree",
    "ExtentState",
    "InvariantError",
    "MissingBitError",
    "UnknownBehaviourError",
]
