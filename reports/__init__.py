# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads bundles and verdicts; writes terminal, JSON, JUnit, Markdown and HTML reports."""

from __future__ import annotations

from reports.load import load_run
from reports.previous import with_previous
from reports.run import CaseResult, Run
from reports.terminal import print_summary
from reports.write import write_all

__all__ = ["CaseResult", "Run", "load_run", "print_summary", "with_previous", "write_all"]
