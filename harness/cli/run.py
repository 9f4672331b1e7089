# SPDX-License-Identifier: GPL-2.0-or-later
"""`iodiff run` and `iodiff resume`."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.errors import EXIT_OK, UserError
from harness.guest.drives import Devices

if TYPE_CHECKING:
    from harness.run import RunPlan

__all__ = ["resume", "run", "work_root"]

ROUNDS_UNTIL_FAIL = 1000

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
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", "-x", help="Leave out a case, suite or group; may have wildcards."),
    ] = None,
    exclude_file: Annotated[
        list[Path] | None,
        typer.Option(help="File of cases to skip, lines `CASE # REASON` or `CASE@KERNEL # REASON`."),
    ] = None,
    known_issues: Annotated[
        list[Path] | None,
        typer.Option(help="File like that, of cases whose failure is told but does not fail the run."),
    ] = None,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Run only this part of the cases, to share them out.")
    ] = None,
    repeat: Annotated[
        int | None, typer.Option(min=1, max=9999, help="Run each case so often, each time with another seed.")
    ] = None,
    until_fail: Annotated[
        bool, typer.Option("--until-fail", help="Repeat, up to 1,000 times, until a case does not pass.")
    ] = False,
    time_budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="Begin no case later than after 90s, 10m, 2h…")
    ] = None,
    rerun_failed: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Run again what did not pass in this run folder.")
    ] = None,
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
    from harness.cli.planning import again, seconds
    from harness.cli.selection import all_cases, part_of, select, without
    from harness.run import CaseList, GuestOptions, RunPlan, new_run_id

    if capture not in CAPTURES:
        raise UserError(f"unknown capture {capture!r}: one of {', '.join(CAPTURES)}")
    if rerun_failed and (cases or suite or group or kernel or exclude or shard or repeat or seed is not None):
        raise UserError("--rerun-failed says itself which cases, kernels and seeds: give it without these")
    failed = again(rerun_failed) if rerun_failed else None
    if failed == {}:
        print(f"nothing in {rerun_failed} is to be run again: no case failed or was left undecided")
        return EXIT_OK
    chosen = without(select(cases or (), suite or (), group or ()), exclude or ())
    names = [case.id for case in all_cases()]
    run_id = new_run_id()
    work = (work or work_root() / run_id).absolute()
    options = GuestOptions(guest_cpus, guest_memory << 20, guests, boot_deadline, keep, guest_devices)
    kernels = chosen_kernels(list(failed or kernel or ()), work, capture, options)
    plan = RunPlan(
        cases=part_of(chosen, shard) if shard else chosen,
        kernels=kernels,
        out=(out or Path("results") / run_id).absolute(),
        work=work,
        seed=secrets.randbelow(2**32) if seed is None else seed,
        capture=capture,
        run_id=run_id,
        groups=group or ([] if cases else ["quick"]),
        suites=suite or [],
        guests=options,
        rounds=repeat or (ROUNDS_UNTIL_FAIL if until_fail else 1),
        until_fail=until_fail,
        budget_s=seconds(time_budget) if time_budget else None,
        excluded=CaseList.read(exclude_file or (), names),
        expected=CaseList.read(known_issues or (), names),
        chosen={kernel.label: failed[kernel.name] for kernel in kernels} if failed else None,
    )
    return _carry_out(plan)


def resume(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")],
    work: Annotated[
        Path | None, typer.Option(help="Empty or new directory for devices; default below /var/tmp/iodiff.")
    ] = None,
) -> int:
    """Go on with a run that was interrupted: what has a verdict is kept, the rest is run.

    What was skipped is tried again, so a run whose time budget was used up goes on too.
    """
    from harness.cli.planning import resumed
    from harness.run import new_run_id

    return _carry_out(resumed(run, (work or work_root() / new_run_id()).absolute()))


def _carry_out(plan: RunPlan) -> int:
    """Run the plan, write the reports whatever happens, and return the exit code."""
    from harness.cli.progress import ConsoleObserver, console
    from harness.cli.report import write_reports
    from harness.run import run_cases

    with ConsoleObserver(console(), plan) as observer:
        try:
            run_cases(plan, observer)
        except BaseException:
            observer.stop()
            if _holds_run(plan.out, plan.run_id):
                write_reports(plan.out, plan.out)
            raise
    return write_reports(plan.out, plan.out)


def _holds_run(out: Path, run_id: str) -> bool:
    """Return whether anything of this very run was finished: `out` may be the folder of another one."""
    from harness.run import RUN_FILE

    file = out / RUN_FILE
    return file.is_file() and json.loads(file.read_text())["run_id"] == run_id
