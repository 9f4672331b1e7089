# SPDX-License-Identifier: GPL-2.0-or-later
"""Lines of the kernel log by which the kernel reports a fault of its own."""

from __future__ import annotations

import re

__all__ = ["FAULTS", "faults"]

FAULTS = {
    "oops": r"\bOops\b|BUG: unable to handle|general protection fault",
    "bug": r"kernel BUG at |\bBUG: (?!unable)",
    "warning": r"\bWARNING: (CPU: |possible |at |suspicious |bad |inconsistent |.* at )",
    "panic": r"Kernel panic",
    "hung task": r"INFO: task .* blocked for more than \d+ seconds",
    "lockup": r"\b(soft|hard) ?lockup\b",
    "rcu stall": r"rcu: INFO: .*(detected stalls|self-detected stall)",
    "sanitizer": r"\b(KASAN|UBSAN|KCSAN|KMSAN|KFENCE): ",
    "leak": r"\bkmemleak: |BTRFS: (state leak|buffer leak)",
    "btrfs": r"BTRFS (critical|alert|emergency)|BTRFS: (assertion failed|Transaction aborted)"
    r"|BTRFS error .*(io tree error|assertion failed)|assertion failed: .* in fs/btrfs",
}
"""Name -> pattern of such a line, as the kernel prints it."""

_PATTERNS = {name: re.compile(pattern) for name, pattern in FAULTS.items()}


def faults(lines: list[str]) -> list[tuple[str, str]]:
    """Return (name of the pattern, line) for every line that reports a fault."""
    return [(name, line) for line in lines for name, pattern in _PATTERNS.items() if pattern.search(line)]
