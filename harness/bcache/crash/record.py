# SPDX-License-Identifier: GPL-2.0-or-later
"""The record of a crash experiment: the log of writes, and what the kernel made of each loss of power.

`crash.json`: plan, seed, how the disk is divided, and each recovery but its data; `crash.npz`: the log (in
columns `sector`, `sectors`, `flags`, `length`, and all data one after the other), and of recovery N the
sectors as they were read (`stamps_N`, see `stamps`) and the windows of the disk that it changed (`windows_N`,
`changed_N`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness.bcache.crash.moments import Disks, Moment
from harness.bcache.crash.plan import CrashPlan
from harness.bcache.crash.stamps import Stamps
from harness.bcache.crash.write_log import Entry, Flag
from loopdevs import BcacheLayout

__all__ = ["ARRAYS", "FACTS", "WINDOW_BYTES", "CrashRecord", "Recovery", "load_record", "save_record"]

FACTS, ARRAYS = "crash.json", "crash.npz"
WINDOW_BYTES = 4096


@dataclass(frozen=True)
class Recovery:
    """What the kernel made of one loss of power."""

    moment: Moment
    lines: Sequence[str]
    """What it said."""
    refused: str | None = None
    """Why there was no device in the end, if there was none; nothing more is known then."""
    state: str = ""
    """Of the device: "clean" or "dirty"."""
    stamps: Stamps = field(default_factory=lambda: np.zeros(0, np.int64))
    """Of all sectors, as they were read from the device; WRONG where reading failed."""
    windows: Sequence[int] = ()
    """Which windows of `WINDOW_BYTES` of the disk were different after it was stopped."""
    changed: bytes = b""
    """What is in those."""
    damage: str = ""
    """What was damaged besides (`damages`), if anything."""
    reads: Sequence[Sequence[int] | None] | None = None
    """Of reads while parts of the devices failed (`failing`): their stamps, or None for those that failed."""

    def disk_after(self, before: bytes | bytearray) -> bytearray:
        """Return what is on the disk after the set was stopped, given what was before."""
        disk = bytearray(before)
        for n, window in enumerate(self.windows):
            data = self.changed[n * WINDOW_BYTES : (n + 1) * WINDOW_BYTES]
            disk[window * WINDOW_BYTES : (window + 1) * WINDOW_BYTES] = data
        return disk


@dataclass(frozen=True)
class CrashRecord:
    """All that was recorded."""

    plan: CrashPlan
    seed: int
    disks: Disks
    entries: Sequence[Entry]
    recoveries: Sequence[Recovery]


def save_record(record: CrashRecord, facts_file: Path, arrays_file: Path) -> None:
    """Write the record into two new files."""
    facts = {
        "plan": asdict(record.plan),
        "seed": record.seed,
        "disks": {
            "cache_sectors": record.disks.cache_sectors,
            "backing_sectors": record.disks.backing_sectors,
            "journal": [[bucket.start, bucket.stop] for bucket in record.disks.journal],
        },
        "recoveries": [
            {
                "moment": asdict(r.moment),
                "lines": list(r.lines),
                "refused": r.refused,
                "state": r.state,
                "damage": r.damage,
                "reads": r.reads,
            }
            for r in record.recoveries
        ],
    }
    facts_file.write_text(json.dumps(facts, indent=1) + "\n")
    arrays: dict[str, Any] = {
        "sector": np.array([e.sector for e in record.entries], "<u8"),
        "sectors": np.array([e.sectors for e in record.entries], "<u4"),
        "flags": np.array([int(e.flags) for e in record.entries], "u1"),
        "length": np.array([len(e.data) for e in record.entries], "<u4"),
        "data": np.frombuffer(b"".join(e.data for e in record.entries), "u1"),
    }
    for n, r in enumerate(record.recoveries):
        arrays[f"stamps_{n}"] = r.stamps
        arrays[f"windows_{n}"] = np.array(r.windows, "<u4")
        arrays[f"changed_{n}"] = np.frombuffer(r.changed, "u1")
    np.savez_compressed(arrays_file, **arrays)


def load_record(folder: Path) -> CrashRecord:
    """Read the files `FACTS` and `ARRAYS` of a folder."""
    facts = json.loads((folder / FACTS).read_text())
    with np.load(folder / ARRAYS) as arrays:
        recoveries = [_recovery(n, r, arrays) for n, r in enumerate(facts["recoveries"])]
        entries = _entries(arrays)
    plan = facts["plan"]
    divided = facts["disks"]
    return CrashRecord(
        CrashPlan(**{**plan, "layout": BcacheLayout(**plan["layout"])}),
        facts["seed"],
        Disks(**{**divided, "journal": [range(*bucket) for bucket in divided["journal"]]}),
        entries,
        recoveries,
    )


def _recovery(number: int, facts: dict[str, Any], arrays: Any) -> Recovery:
    return Recovery(
        Moment(**facts["moment"]),
        facts["lines"],
        facts["refused"],
        facts["state"],
        arrays[f"stamps_{number}"],
        arrays[f"windows_{number}"].tolist(),
        arrays[f"changed_{number}"].tobytes(),
        facts.get("damage", ""),
        facts.get("reads"),
    )


def _entries(arrays: Any) -> list[Entry]:
    data = arrays["data"].tobytes()
    ends = np.cumsum(arrays["length"], dtype=np.int64)
    columns = (arrays[name].tolist() for name in ("sector", "sectors", "flags", "length"))
    rows = zip(*columns, ends.tolist(), strict=True)
    return [Entry(sector, n, Flag(flags), data[end - length : end]) for sector, n, flags, length, end in rows]
