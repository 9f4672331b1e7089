# SPDX-License-Identifier: GPL-2.0-or-later
"""Lines of the kernel log by which the kernel reports a fault of its own."""

from __future__ import annotations

import re

__all__ = ["FAULTS", "faults"]

FAULTS = {
    # The registers of every fatal exception are headed "NAME: CODE [#N]". A program that crashes is reported
    # as "traps: NAME[PID] general protection fault ip:...": that is no fault of the kernel.
    "oops": r"\bOops\b|BUG: unable to handle|general protection fault[,:]|: [0-9a-f]{4,} \[#\d+\]",
    "bug": r"[kK]ernel BUG at |\bBUG: (?!unable|soft lockup|K[A-Z]+: )|\bBUG \S+ \(.*\): ",
    "warning": r"\bWARNING: |INFO: trying to register non-static key",
    "panic": r"Kernel panic",
    "hung task": r"INFO: task .* blocked .*for more than \d+ seconds",
    "lockup": r"\b(soft lockup|hard LOCKUP)\b",
    "rcu stall": r"INFO: rcu\w* (self-detected stall|detected (expedited )?stalls?)\b",
    "sanitizer": r"\b(KASAN|UBSAN|KCSAN|KMSAN|KFENCE): ",
    "leak": r"kmemleak: \d+ new suspected memory leaks|BTRFS.*: (state|buffer) leak",
    # That RAID5 and 6 are experimental, 5.10 says at each mount, as an alert.
    "btrfs": r"BTRFS (critical|alert|emergency)(?!.*RAID5/6 is EXPERIMENTAL)"
    r"|BTRFS(: error| error) \(device .*\) in \w+:\d+: errno="
    r"|BTRFS.*: Transaction aborted|assertion failed: .*, in fs/btrfs/",
}
"""Name -> pattern of such a line, as the kernel prints it."""

_PATTERNS = {name: re.compile(pattern) for name, pattern in FAULTS.items()}


def faults(lines: list[str]) -> list[tuple[str, str]]:
    """Return (name of the first pattern that matches, line) for every line that reports a fault."""
    found = ((next((n for n, p in _PATTERNS.items() if p.search(line)), None), line) for line in lines)
    return [(name, line) for name, line in found if name is not None]
