# SPDX-License-Identifier: GPL-2.0-or-later
"""What a person watching a run sees."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from harness.cases import Case
from harness.cli.progress import ConsoleObserver
from harness.kernels import Kernel
from harness.run import RunPlan
from loopdevs import BtrfsLayout


def test_a_guest_is_kept_after_its_row_has_ended() -> None:
    """As a run calls it: the row is done, for no case follows, and then the guest stays."""
    kernel = Kernel("test:6.0", "test-6.0", "6.0.0", Path("vmlinuz"), None, None)
    case = Case("test/first", "a case", frozenset(), BtrfsLayout(), lambda _experiment: None)
    output = io.StringIO()
    plan = RunPlan([case], [kernel], Path("out"), Path("work"), seed=1)
    with ConsoleObserver(Console(file=output), plan) as observer:
        observer.boot(kernel)
        observer.done(kernel, "test/first failed, and its guest was to be kept")
        observer.kept(kernel, ["gdb:     gdb VMLINUX"])
    lines = output.getvalue().splitlines()
    assert lines[-2:] == ["test-6.0: the guest is kept until Ctrl-C", "gdb:     gdb VMLINUX"]
