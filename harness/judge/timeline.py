# SPDX-License-Identifier: GPL-2.0-or-later
"""Series over the time of a record, for the plots of the report."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.capture.records import Kind
from harness.judge.extent_state import ReplayedRecord
from harness.judge.operations import NONE
from harness.judge.replay import RELEASED

__all__ = ["timeline"]

BUCKETS = 200


def timeline(record: ReplayedRecord) -> dict[str, Any]:
    """Return operations a bucket by kind, and states alive in the model at the end of each bucket."""
    time_ns = record.events["time_ns"]
    if not len(time_ns):
        return {}
    last = int(time_ns.max()) + 1
    buckets = max(1, min(BUCKETS, last // 1_000_000))
    edges = np.linspace(0, last, buckets + 1)
    operations = record.operations
    at = time_ns[operations.event]
    return {
        "t_s": _rounded(edges[:-1]),
        "bucket_s": round(last / buckets / 1e9, 6),
        "ops": {
            kind.name.lower(): np.histogram(at[operations.kind == kind], edges)[0].tolist()
            for kind in (Kind.SET, Kind.CLEAR, Kind.CONVERT)
        },
        "live_states": _live_states(record, edges),
        "checkpoints": [
            {"name": c.name, "t_s": round(c.time_ns / 1e9, 6), "live_states": c.live_states}
            for c in record.checkpoints
        ],
    }


def _live_states(record: ReplayedRecord, edges: np.ndarray[Any, Any]) -> list[int]:
    states, time_ns = record.states, record.events["time_ns"]
    erased_by = np.array(record.outcome.erased_by, np.int64)
    used = (np.frombuffer(record.outcome.unused, np.uint8) == 0) & (states.operation != NONE)
    by_operation = used & (erased_by >= 0)
    by_release = used & (erased_by == RELEASED)
    born = np.histogram(time_ns[states.event[used]], edges)[0]
    erased = np.histogram(time_ns[record.operations.event[erased_by[by_operation]]], edges)[0]
    released = np.histogram(time_ns[states.free_event[by_release]], edges)[0]
    alive: list[int] = np.cumsum(born - erased - released).tolist()
    return alive


def _rounded(times_ns: np.ndarray[Any, Any]) -> list[float]:
    rounded: list[float] = np.round(times_ns / 1e9, 6).tolist()
    return rounded
