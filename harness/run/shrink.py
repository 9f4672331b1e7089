# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes what failed smaller on the kernel that it was recorded on: the running one, or one in a guest."""

from __future__ import annotations

import shutil
import threading

from harness.bundle import Bundle
from harness.capture.choice import DIRECT_IO
from harness.capture.program import compile_all
from harness.direct_io.smallest import Shrunk, Tell, smallest
from harness.guest.accelerator import accelerator
from harness.guest.python_image import python_image
from harness.guest.session import GuestSession, SessionPlan
from harness.guest.start import GuestPlan
from harness.kernels import HOST, Kernel
from harness.run.plan import GuestOptions
from loopdevs import Workspace

__all__ = ["shrink_bundle"]

TRY_S = 5.0
"""What one try may take on the bare machine, s: the first makes all that was recorded again."""


def shrink_bundle(bundle: Bundle, kernel: Kernel, workspace: Workspace, tries: int, tell: Tell) -> Shrunk:
    """Return the smallest that fails as the bundle does; raises as `smallest` does.

    GuestLostError if the guest is lost.
    """
    if kernel.name == HOST:
        return smallest(bundle, workspace, tries, tell).shrunk()
    compile_all()
    exchange = workspace.path("exchange")
    exchange.mkdir(mode=0o700)
    shutil.copytree(bundle.path, exchange / "bundle")
    options = GuestOptions()
    guest = GuestPlan(
        kernel,
        accelerator(kernel.image),
        options.cpus,
        options.memory_bytes,
        exchange,
        python=python_image(),
    )
    plan = SessionPlan(guest, DIRECT_IO)
    with GuestSession(plan, workspace, threading.Lock(), lambda: None) as session:
        done = session.guest().call(
            "shrink",
            TRY_S * tries * guest.accelerator.slowness,
            tell,
            bundle=str(exchange / "bundle"),
            tries=tries,
        )
    return Shrunk(**done)
