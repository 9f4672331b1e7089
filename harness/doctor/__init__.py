# SPDX-License-Identifier: GPL-2.0-or-later
"""What this machine can do for iodiff, found out by doing it."""

from __future__ import annotations

from harness.doctor.checks import missing_for_guests, missing_for_host, missing_for_run, probe_all
from harness.doctor.probes import Probe
from harness.doctor.show import render, to_json

__all__ = [
    "Probe",
    "missing_for_guests",
    "missing_for_host",
    "missing_for_run",
    "probe_all",
    "render",
    "to_json",
]
