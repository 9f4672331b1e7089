# SPDX-License-Identifier: GPL-2.0-or-later
"""The ways iodiff stops early, each with its exit code."""

from __future__ import annotations

__all__ = ["EXIT_FAIL", "EXIT_OK", "EXIT_UNDECIDED", "EXIT_USAGE", "InfrastructureError", "UserError"]

EXIT_OK = 0
"""Every verdict is PASS or SKIP."""
EXIT_FAIL = 1
"""At least one verdict is FAIL."""
EXIT_UNDECIDED = 2
"""No FAIL, but at least one UNDECIDED, or the infrastructure was lost."""
EXIT_USAGE = 3
"""Bad usage or an environment that cannot do what was asked; nothing was left behind."""


class UserError(Exception):
    """Bad input or environment: one line that says what is wrong and what to do. Exit code 3."""


class InfrastructureError(Exception):
    """The harness lost what it needs to decide (a guest, a device, a tool that died). Exit code 2."""
