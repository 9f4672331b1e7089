# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs cases on kernels: record, judge, keep the verdict."""

from __future__ import annotations

from harness.run.files import RUN_FILE, save_verdict
from harness.run.plan import GuestOptions, Observer, RunPlan, new_run_id
from harness.run.run import run_cases

__all__ = ["RUN_FILE", "GuestOptions", "Observer", "RunPlan", "new_run_id", "run_cases", "save_verdict"]
