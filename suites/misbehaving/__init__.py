# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases that crash or hang the machine they run on: to be recorded in guests, by tests alone.

No part of what `iodiff list` and `run` know.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from harness.cases import Case, Experiment
from loopdevs import BtrfsLayout

__all__ = ["CASES", "CRASH", "HANG"]


def _crash(exp: Experiment) -> None:
    exp.step("sysrq", Path("/proc/sysrq-trigger").write_text, "c")


def _hang(exp: Experiment) -> None:
    exp.step("hang", _occupy_every_cpu)


def _occupy_every_cpu() -> None:
    """Leave no time to anybody else, ever: neither to the deadline's signal nor to the line to the host."""
    Path("/proc/sys/kernel/sched_rt_runtime_us").write_text("-1")
    # Since 6.12 a server of its own keeps time for ordinary tasks.
    for server in Path("/sys/kernel/debug/sched/fair_server").glob("cpu*/runtime"):
        server.write_text("0")
    highest = os.sched_param(os.sched_get_priority_max(os.SCHED_FIFO))
    for cpu in os.sched_getaffinity(0):
        if os.fork() == 0:
            os.sched_setaffinity(0, {cpu})
            os.sched_setscheduler(0, os.SCHED_FIFO, highest)
            while True:
                pass
    time.sleep(3600)


CRASH = Case("misbehaving/crash", "the kernel crashes", frozenset(), BtrfsLayout(), _crash)
HANG = Case("misbehaving/hang", "the machine hangs", frozenset(), BtrfsLayout(), _hang, deadline_s=1.0)
CASES = (CRASH, HANG)
