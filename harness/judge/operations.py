# SPDX-License-Identifier: GPL-2.0-or-later
"""Orders the events of a record into operations on trees and lifetimes of extent_states.

The tracepoints of `set_extent_bit`, `clear_extent_bit` and `convert_extent_bit` fire at entry, before the
tree lock is taken; those of `alloc_extent_state` and `btrfs_free_extent_state` name a state but no tree
(fs/btrfs/extent-io-tree.c). All allocations happen inside one of the three operations, so an allocation
belongs to the operation that its task entered last, and a state to the tree of that operation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.bundle import Table
from harness.capture.records import NONE, Kind, latest_operation

__all__ = ["NONE", "Operations", "States", "group"]

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Operations:
    """All operations, in the order of their entry; every column has one value an operation."""

    event: Index
    """Its entry in the event table."""
    kind: NDArray[Any]
    tree: NDArray[np.uint64]
    pid: NDArray[Any]
    start: NDArray[np.uint64]
    end: NDArray[np.uint64]
    """Inclusive; a length that wrapped to 0 is the whole range."""
    bits: NDArray[Any]
    clear_bits: NDArray[Any]
    until: Index
    """Event at which the task entered its next operation, or the number of events."""

    def __len__(self) -> int:
        return len(self.event)


@dataclass(frozen=True)
class States:
    """All extent_states ever allocated, in order; a state's position is its identity in the model."""

    event: Index
    """Allocation event."""
    ptr: NDArray[np.uint64]
    operation: Index
    """Operation that allocated it, NONE when its task had entered none."""
    free_event: Index
    """Event that freed it, NONE when it lives on after the record."""
    free_operation: Index
    """Operation that the freeing task had entered last, NONE when there was none."""

    def __len__(self) -> int:
        return len(self.event)


def group(events: Table) -> tuple[Operations, States]:
    """Find operations and states in an event table (columns: docs/architecture.md)."""
    kind = events["kind"]
    entries = np.flatnonzero(kind <= Kind.CONVERT)
    latest, until = latest_operation(events["pid"], kind <= Kind.CONVERT)
    start, length = events["start"][entries], events["len"][entries]
    operations = Operations(
        event=entries,
        kind=kind[entries],
        tree=events["ptr"][entries],
        pid=events["pid"][entries],
        start=start,
        end=start + length - np.uint64(1),
        bits=events["bits"][entries],
        clear_bits=events["clear_bits"][entries],
        until=until,
    )
    return operations, _states(events, latest)


def _states(events: Table, latest: Index) -> States:
    kind, ptr = events["kind"], events["ptr"]
    allocs = np.flatnonzero(kind == Kind.ALLOC)
    concerned = np.flatnonzero(kind >= Kind.ALLOC)
    order = concerned[np.argsort(ptr[concerned], kind="stable")]
    # Events of one state stand together now, in time: an allocation and, unless it lives on, its free.
    freed_next = np.zeros(len(order), bool)
    freed_next[:-1] = (kind[order[1:]] == Kind.FREE) & (ptr[order[1:]] == ptr[order[:-1]])
    pairs = np.flatnonzero((kind[order] == Kind.ALLOC) & freed_next)
    free_event = np.full(len(kind), NONE, np.int64)
    free_event[order[pairs]] = order[pairs + 1]
    free = free_event[allocs]
    freed = free != NONE
    return States(
        event=allocs,
        ptr=ptr[allocs],
        operation=latest[allocs],
        free_event=free,
        free_operation=np.where(freed, latest[free], NONE),
    )
