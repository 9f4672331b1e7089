# SPDX-License-Identifier: GPL-2.0-or-later
"""Bundles of cases of which nothing was recorded: they say why."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from harness.bundle import Bundle, BundleWriter
from harness.kernels import Kernel
from harness.record.host import machine_facts
from harness.record.record import RecordPlan, capture_facts, case_facts, device_facts

__all__ = ["kernel_named", "skipped", "unrecorded"]


def unrecorded(plan: RecordPlan, writer: BundleWriter, facts: Mapping[str, Any]) -> Bundle:
    """Finish a bundle that has no record; `facts` say which machine it was and what happened."""
    for name in ("steps.json", "taskstats.json", "layout.json"):
        writer.add_json(name, [])
    writer.add_json("devices.json", {})
    return writer.finish(
        {
            "run_id": plan.run_id,
            "case": case_facts(plan.case),
            "seed": plan.seed,
            "capture": capture_facts(None),
            "cpu_s": 0.0,
            "data_mismatch": None,
            "data_verifications": 0,
            "dmesg_overrun": 0,
            **facts,
        }
    )


def skipped(plan: RecordPlan, kernel: Kernel, reasons: Sequence[str]) -> Bundle:
    """Write the bundle of a case that cannot run on `kernel`, for these reasons."""
    writer = BundleWriter(plan.folder)
    writer.add_text("dmesg.txt", "")
    return unrecorded(
        plan,
        writer,
        {
            "kernel": kernel_named(kernel, ""),
            "machine": machine_facts(),
            "tools": {},
            "devices": device_facts(plan.case, "loop"),
            "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "wall_s": 0.0,
            "error": None,
            "skipped": list(reasons),
        },
    )


def kernel_named(kernel: Kernel, version: str) -> dict[str, Any]:
    """Return what a bundle says of a kernel that it could not ask."""
    return {
        "release": kernel.release,
        "version": version,
        "config_sha256": None,
        "source": kernel.name,
    }
