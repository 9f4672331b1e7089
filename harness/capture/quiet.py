# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a task can be in the middle of an operation on a tree.

A record tells when an operation begins, not when it ends. But nothing that a task does in there, under a
spinlock or on the way to it, lets it sleep interruptibly: it runs, waits for a CPU, or waits for memory.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

__all__ = ["may_be_busy"]

# Runs or waits for a CPU; sleeps without heeding signals, as who waits for memory does (proc_pid_stat(5)).
_BUSY = ("R", "D")
_IDLE_TASK = 0
"""Interrupts that strike an idle CPU count as done by it, and /proc does not show it."""


def may_be_busy(tasks: Iterable[int], proc: Path = Path("/proc")) -> bool:
    """Return whether one of `tasks` (thread ids) may be in the middle of an operation; the caller is not."""
    others = [task for task in tasks if task != threading.get_native_id()]
    return _IDLE_TASK in others or any(_state(proc / str(task) / "stat") in _BUSY for task in others)


def _state(stat: Path) -> str:
    """Return the letter of a task's state, X when the task is gone."""
    try:
        # "id (name) state ...": the name may hold anything, so count from its closing parenthesis.
        return stat.read_text(errors="replace").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"
