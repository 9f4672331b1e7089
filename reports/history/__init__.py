# SPDX-License-Identifier: GPL-2.0-or-later
"""What became of a case from run to run."""

from __future__ import annotations

from reports.history.index import INDEX, History, Result, opened
from reports.history.page import history_page
from reports.history.rates import Rate, failure_rate
from reports.history.terminal import print_case, print_flaky

__all__ = [
    "INDEX",
    "History",
    "Rate",
    "Result",
    "failure_rate",
    "history_page",
    "opened",
    "print_case",
    "print_flaky",
]
