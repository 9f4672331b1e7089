# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs cases on kernels: record, judge, keep the verdict."""

from __future__ import annotations

from harness.run.case_list import CaseList
from harness.run.files import RUN_FILE, save_verdict
from harness.run.plan import GuestOptions, Observer, RunPlan, new_run_id
from harness.run.run import run_cases
from harness.run.trial import Trial

__all__ = [
    "RUN_FILE",
    "CaseList",
    "GuestOptions",
    "Observer",
    "RunPlan",
    "Trial",
    "new_run_id",
    "run_cases",
    "save_verdict",
]
