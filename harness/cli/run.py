# SPDX-License-Identifier: GPL-2.0-or-later
"""`iodiff run`."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Annotated

import typer

from harness.errors import UserError
from harness.guest.drives import Devices

__all__ = ["run", "work_root"]

DEFAULT_WORK_ROOT = Path("/var/tmp/iodiff")


def work_root() -> Path:
    """Return where runs of this user have their work directories."""
    return DEFAULT_WORK_ROOT if os.geteuid() == 0 else Path(f"{DEFAULT_WORK_ROOT}-{os.geteuid()}")


def run(
    cases: Annotated[
        list[str] | None, typer.Argument(metavar="CASE", help="Cases by name: see `./iodiff list`.")
    ] = None,
    suite: Annotated[list[str] | None, typer.Option("--suite", "-s", help="Only this suite.")] = None,
    group: Annotated[
        list[str] | None,
        typer.Option("--group", "-g", help="Only this group: quick, auto, stress, claims, data."),
    ] = None,
    kernel: Annotated[
        list[str] | None,
        typer.Option(
            "--kernel",
            "-k",
            help="Kernel to run on, again for more: `host`, `debian:6.12`, a path… (see `./iodiff "
            "kernels list`). Default: the host, or a guest where the host cannot.",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of all random choices; drawn if not given.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; default results/RUN-ID.")] = None,
    work: Annotated[
        Path | None, typer.Option(help="Empty or new directory for devices; default below /var/tmp/iodiff.")
    ] = None,
    capture: Annotated[
        str, typer.Option(help="How to record: `bpf`, or `tracefs` (no tree addresses, no checkpoints).")
    ] = "bpf",
    guest_cpus: Annotated[int, typer.Option(min=1, help="CPUs of a guest.")] = 2,
    guest_memory: Annotated[int, typer.Option(min=1024, help="Memory of a guest, MiB.")] = 4096,
    guest_devices: Annotated[
        Devices,
        typer.Option(
            help="Devices in a guest: `loop`, in its memory, virtio `drives`, on files below --work, or "
            "`rotational` disks, which take their time."
        ),
    ] = "loop",
    guests: Annotated[
        int | None, typer.Option(min=1, help="Guests at a time; default: what cores and memory allow.")
    ] = None,
    boot_deadline: Annotated[
        float | None, typer.Option(min=1, help="How long a guest may take to boot, s.")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave a guest up in which a case failed, for gdb or drgn.")
    ] = False,
) -> int:
    """Run cases on real kernels, judge them, and write the reports.

    Without arguments: the `quick` group of every suite, on the kernel that is running.
    """
    from harness.capture.choice import CAPTURES
    from harness.cli.kernel_choice import chosen_kernels
    from harness.cli.progress import ConsoleObserver, console
    from harness.cli.report import write_reports
    from harness.cli.selection import select
    from harness.run import GuestOptions, RunPlan, new_run_id, run_cases

    chosen = select(cases or (), suite or (), group or ())
    if capture not in CAPTURES:
        raise UserError(f"unknown capture {capture!r}: one of {', '.join(CAPTURES)}")
    run_id = new_run_id()
    work = (work or work_root() / run_id).absolute()
    options = GuestOptions(guest_cpus, guest_memory << 20, guests, boot_deadline, keep, guest_devices)
    plan = RunPlan(
        cases=chosen,
        kernels=chosen_kernels(kernel or (), work, capture, options),
        out=(out or Path("results") / run_id).absolute(),
        work=work,
        seed=secrets.randbelow(2**32) if seed is None else seed,
        capture=capture,
        run_id=run_id,
        groups=group or ([] if cases else ["quick"]),
        suites=suite or [],
        guests=options,
    )
    with ConsoleObserver(console(), plan.kernels, chosen) as observer:
        try:
            run_cases(plan, observer)
        except BaseException:
            observer.stop()
            if _holds_run(plan.out, run_id):
                write_reports(plan.out, plan.out)
            raise
    return write_reports(plan.out, plan.out)


def _holds_run(out: Path, run_id: str) -> bool:
    """Return whether anything of this very run was finished: `out` may be the folder of another one."""
    from harness.run import RUN_FILE

    file = out / RUN_FILE
    return file.is_file() and json.loads(file.read_text())["run_id"] == run_id
