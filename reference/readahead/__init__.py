# SPDX-License-Identifier: GPL-2.0-or-later
"""Reference model of btrfs's tree readahead (fs/btrfs/reada.c, 2011 to 5.16): see docs/readahead.md."""

from __future__ import annotations

from reference.readahead.behaviour import Behaviour
from reference.readahead.engine import PendingReads, Read, Readahead, run
from reference.readahead.invariants import InvariantError, validate, validate_always
from reference.readahead.source import MAX_KEY, MIN_KEY, BlockGroup, Key, Mapping, Node, Root, Source, Stripe
from reference.readahead.structs import BtrfsDevice, FsInfo, Observer, ReadaControl, ReadaExtent, ReadaZone
from reference.readahead.walk import walk

__all__ = [
    "MAX_KEY",
    "MIN_KEY",
    "Behaviour",
    "BlockGroup",
    "BtrfsDevice",
    "FsInfo",
    "InvariantError",
    "Key",
    "Mapping",
    "Node",
    "Observer",
    "PendingReads",
    "Read",
    "ReadaControl",
    "ReadaExtent",
    "ReadaZone",
    "Readahead",
    "Root",
    "Source",
    "Stripe",
    "run",
    "validate",
    "validate_always",
    "walk",
]
