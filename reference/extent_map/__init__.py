# SPDX-License-Identifier: GPL-2.0-or-later
"""The extent-mapped page cache of July 2007 (fs/extent_map.c, two versions): see docs/extent-map-2007.md."""

from __future__ import annotations

from reference.extent_map.behaviour import DEFECTS, Behaviour
from reference.extent_map.bits import (
    ALL_BITS,
    EXTENT_DIRTY,
    EXTENT_IOBITS,
    EXTENT_LOCKED,
    EXTENT_NEW,
    EXTENT_UPTODATE,
    EXTENT_WRITEBACK,
    GFP_ATOMIC,
    GFP_NOFS,
    GFP_WAIT,
    BadBitsError,
    BadRangeError,
)
from reference.extent_map.defects import Defect, defect, defects_of
from reference.extent_map.invariants import InvariantError
from reference.extent_map.make import extent_map_tree, state_tree
from reference.extent_map.maps import Maps
from reference.extent_map.objects import ExtentMap, ExtentState
from reference.extent_map.states import States
from reference.extent_map.tree import ExtentMapTree, FailedStart

__all__ = [
    "ALL_BITS",
    "DEFECTS",
    "EXTENT_DIRTY",
    "EXTENT_IOBITS",
    "EXTENT_LOCKED",
    "EXTENT_NEW",
    "EXTENT_UPTODATE",
    "EXTENT_WRITEBACK",
    "GFP_ATOMIC",
    "GFP_NOFS",
    "GFP_WAIT",
    "BadBitsError",
    "BadRangeError",
    "Behaviour",
    "Defect",
    "ExtentMap",
    "ExtentMapTree",
    "ExtentState",
    "FailedStart",
    "InvariantError",
    "Maps",
    "States",
    "defect",
    "defects_of",
    "extent_map_tree",
    "state_tree",
]
