# SPDX-License-Identifier: GPL-2.0-or-later
"""Sessions of real guests, for tests."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.cases import Case
from harness.errors import UserError
from harness.guest.accelerator import accelerator
from harness.guest.python_image import python_image
from harness.guest.session import GuestSession, SessionPlan
from harness.guest.start import GuestPlan
from harness.judge.verdict import judge_bundle
from harness.kernels import Kernel, resolve
from harness.record.record import RecordPlan
from harness.verdicts import CaseVerdict
from loopdevs import RotationalDrive, Workspace

__all__ = ["fetched", "made_session", "record"]

MEMORY_BYTES = 4 << 30


def fetched(name: str) -> Kernel:
    """Return the kernel to boot, fetched if need be; the test is skipped where it cannot be had."""
    try:
        return resolve(name)
    except UserError as error:
        if os.environ.get("IODIFF_FORCE_BOOTS") == "1":
            raise
        pytest.skip(f"boots: {error}")


@contextmanager
def made_session(
    kernel: Kernel,
    work: Path,
    drives: tuple[int, ...] = (),
    disks: Callable[[Workspace], Sequence[RotationalDrive]] = lambda _workspace: (),
) -> Iterator[GuestSession]:
    """Make a session on `kernel` with the work directory `work`; its guest boots when it is needed.

    With `drives` of these sizes, bytes, or with `disks`, cases are recorded on those.
    """
    with Workspace.create(work) as workspace:
        sockets = tuple(disk.socket for disk in disks(workspace))
        exchange = workspace.path("exchange")
        exchange.mkdir()
        guest = GuestPlan(
            kernel,
            accelerator(kernel.image),
            2,
            MEMORY_BYTES,
            exchange,
            drives=drives,
            python=python_image(),
            sockets=sockets,
        )
        plan = SessionPlan(guest, "bpf", setting_up_s=5.0)
        with GuestSession(plan, workspace, threading.Lock(), lambda: None) as session:
            yield session


def record(session: GuestSession, case: Case, folder: Path) -> CaseVerdict:
    """Record a case into a folder of its name in `folder`, and judge it."""
    kernel = session.plan.guest.kernel.name
    return judge_bundle(session.record(RecordPlan(case, 1, "test", folder / case.id.split("/")[1], kernel)))
