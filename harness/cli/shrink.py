# SPDX-License-Identifier: GPL-2.0-or-later
"""`iodiff shrink`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["shrink"]

MINIMUM_BYTES = 1 << 30


def shrink(
    bundle: Annotated[Path, typer.Argument(help="Bundle of direct reads that were not as predicted.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File for the script; default: standard output.")
    ] = None,
    tries: Annotated[
        int, typer.Option(min=1, help="How often to make it again at most, each time half a second or so.")
    ] = 400,
    work: Annotated[
        Path | None, typer.Option(help="Empty or new directory for devices; default below /var/tmp/iodiff.")
    ] = None,
) -> int:
    """Make reads that went wrong again, on the kernel they were recorded on: ever fewer, of smaller files.

    Prints the smallest found as a script, which repeats it without iodiff. Needs root. Exit codes: 1 found,
    2 it does not happen again, 3 nothing in the bundle is wrong, or bad usage.
    """
    from harness.bundle import Bundle
    from harness.cli.kernel_choice import chosen_kernels
    from harness.cli.run import work_root
    from harness.errors import EXIT_FAIL, UserError
    from harness.record.interruption import interruptible, interruptions_held
    from harness.run import GuestOptions, new_run_id
    from harness.run.shrink import shrink_bundle
    from loopdevs import LoopdevsError, Workspace

    opened = Bundle.open(bundle)
    work = (work or work_root() / new_run_id()).absolute()
    (kernel,) = chosen_kernels([opened.manifest["kernel"]["source"]], work, "bpf", GuestOptions())
    try:
        with (
            interruptions_held(),
            Workspace.create(work, minimum_bytes=MINIMUM_BYTES) as workspace,
            interruptible(),
        ):
            found = shrink_bundle(opened, kernel, workspace, tries, _tell)
    except LoopdevsError as error:
        raise UserError(str(error)) from error
    _tell(found.summary)
    if output is None:
        print(found.script, end="")
    else:
        output.write_text(found.script)
        output.chmod(0o755)
    return EXIT_FAIL


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
