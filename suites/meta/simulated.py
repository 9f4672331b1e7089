# SPDX-License-Identifier: GPL-2.0-or-later
"""Small bundles of a simulated kernel, good and bad: what the command line does with them needs no root."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.bundle import Bundle, BundleWriter
from harness.capture.checkpoints import save_checkpoints
from harness.capture.records import Kind
from harness.judge.testing import Operation, SimulatedKernel
from reference.extent_state import LINUX_6_18

__all__ = ["CASE", "write_bundle"]

CASE = "extent_state/simulated"

LOCKED = LINUX_6_18.names["LOCKED"]
DELALLOC = LINUX_6_18.names["DELALLOC"]
BLOCK = 4096


def write_bundle(
    folder: Path, *, differs: bool = False, lost: int = 0, log: str = "", **facts: Any
) -> Bundle:
    """Write the bundle of two tasks that dirty and clean blocks of one tree.

    With `differs` the record says that one operation began a block later than it did. `log` is more of the
    kernel's log; the case's device is loop7.
    """
    kernel = SimulatedKernel(seed=3)
    kernel.run([_dirty_and_clean(0), _dirty_and_clean(64 * BLOCK)])
    kernel.checkpoint("end")
    events = kernel.events()
    if differs:
        victim = int((events["bits"] == DELALLOC).nonzero()[0][-3])
        events["start"][victim] += BLOCK
        events["len"][victim] -= BLOCK
    writer = BundleWriter(folder)
    writer.add_table("events.npz", events)
    save_checkpoints(writer, kernel.checkpoints)
    writer.add_text("dmesg.txt", "[    1.000000] BTRFS info (device loop7): first mount\n" + log)
    writer.add_json("devices.json", {"before": {"loop7": {}}, "after": {"loop7": {}}})
    return writer.finish({**_facts(len(events["kind"]), lost), **facts})


def _dirty_and_clean(base: int) -> list[Operation]:
    operations = []
    for block in range(0, 32, 2):
        start, end = base + block * BLOCK, base + (block + 2) * BLOCK - 1
        operations += [
            Operation(Kind.SET, start, end, LOCKED),
            Operation(Kind.SET, start, end, DELALLOC),
            Operation(Kind.CLEAR, start, end, LOCKED),
        ]
    return [*operations, Operation(Kind.CLEAR, base, base + 16 * BLOCK - 1, DELALLOC)]


def _facts(events: int, lost: int) -> dict[str, Any]:
    return {
        "run_id": "20261120-101500-ab12",
        "case": {"id": CASE, "suite": "extent_state", "title": "simulated", "groups": ["quick"]},
        "seed": 3,
        "kernel": {"release": "6.18.0", "version": "#1", "config_sha256": None, "source": "host"},
        "devices": {"kind": "loop"},
        "capture": {
            "method": "bpf",
            "events": events,
            "lost": lost,
            "lost_reasons": {"lost_ring": lost},
            "bits": {f"EXTENT_{name}": value for name, value in LINUX_6_18.names.items()},
        },
        "wall_s": 1.0,
        "error": None,
        "data_mismatch": None,
        "data_verifications": 0,
        "dmesg_overrun": 0,
    }
