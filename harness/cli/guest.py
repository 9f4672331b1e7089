# SPDX-License-Identifier: GPL-2.0-or-later
"""`iodiff guest`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import termios
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from harness.errors import EXIT_OK, InfrastructureError, UserError
from harness.record.interruption import interruptible, interruptions_held

if TYPE_CHECKING:
    from loopdevs import Workspace

__all__ = ["guest"]


def guest(
    kernel: Annotated[
        str, typer.Option("--kernel", "-k", help="Kernel to boot: `debian:6.12`, a path…")
    ] = "debian:6.12",
    cpus: Annotated[int, typer.Option(min=1, help="CPUs of the guest.")] = 2,
    memory: Annotated[int, typer.Option(min=1024, help="Memory of the guest, MiB.")] = 4096,
    devices: Annotated[
        Literal["loop", "drives"],
        typer.Option(help="`drives`: hand it four virtio drives of 4 GiB; `loop`: none."),
    ] = "loop",
) -> int:
    """Boot a guest as `run` does, and give a root shell in it, on this terminal.

    The host's files are there read-only, but for one folder; `/run/iodiff/work` is memory to make devices in.
    Modules load by `modprobe`. `exit` ends it. For gdb and drgn there are sockets, which it names.
    """
    import loopdevs
    from harness.cli.kernel_choice import guest_kernel
    from harness.cli.run import work_root
    from harness.guest.accelerator import accelerator
    from harness.guest.drives import DRIVES, SHELL_DRIVES, drive_files
    from harness.guest.python_image import python_image
    from harness.guest.root import make_root
    from harness.guest.start import GDB, QMP, GuestPlan, shell_command, shell_script
    from harness.run import new_run_id

    if not sys.stdin.isatty():
        raise UserError("a shell needs a terminal, and standard input is none: use `run --kernel` in scripts")
    found = guest_kernel(kernel, memory << 20, devices)
    try:
        with loopdevs.Workspace.create(work_root() / f"guest-{new_run_id()}") as workspace:
            folder = workspace.path("guest")
            exchange = folder / "exchange"
            exchange.mkdir(parents=True)
            drives = SHELL_DRIVES if devices == DRIVES else ()
            machine = accelerator(found.image)
            plan = GuestPlan(found, machine, cpus, memory << 20, exchange, True, drives, python_image())
            root = folder / "root"
            make_root(root, shell_script(plan))
            print(f"booting {found.name} ({found.release}, {plan.accelerator}); writable: {exchange}")
            print(f"gdb: {folder / GDB}  drgn --qemu {folder / QMP}", flush=True)
            with drive_files(folder, drives), interruptions_held():
                code = _run(shell_command(plan, root), folder, workspace)
    except loopdevs.LoopdevsError as error:
        raise UserError(str(error)) from error
    if code:
        raise InfrastructureError(f"the guest ended with code {code}")
    return EXIT_OK


def _run(command: list[str], folder: Path, workspace: Workspace) -> int:
    """Run `command` to its end as the terminal's foreground job, as a shell would."""
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # to give the terminal away, and to take it back
    terminal = sys.stdin.fileno()
    settings = termios.tcgetattr(terminal)
    child = subprocess.Popen(command, cwd=folder, env={**os.environ, "TMPDIR": str(folder)}, process_group=0)
    try:
        workspace.process_group(child.pid)
        os.tcsetpgrp(terminal, child.pid)
        with interruptible():
            return child.wait()
    finally:
        os.tcsetpgrp(terminal, os.getpgrp())
        termios.tcsetattr(terminal, termios.TCSADRAIN, settings)
