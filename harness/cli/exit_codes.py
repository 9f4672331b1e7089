# SPDX-License-Identifier: GPL-2.0-or-later
"""From verdicts to the exit code."""

from __future__ import annotations

from collections.abc import Iterable

from harness.errors import EXIT_FAIL, EXIT_OK, EXIT_UNDECIDED
from harness.verdicts import Verdict, worst

__all__ = ["exit_code"]

_CODES = {
    Verdict.PASS: EXIT_OK,
    Verdict.SKIP: EXIT_OK,
    Verdict.UNDECIDED: EXIT_UNDECIDED,
    Verdict.FAIL: EXIT_FAIL,
}


def exit_code(verdicts: Iterable[Verdict]) -> int:
    """Return the exit code for a run with these verdicts; none at all is UNDECIDED."""
    return _CODES[worst(verdicts)]
