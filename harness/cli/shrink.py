# SPDX-License-Identifier: GPL-2.0-or-later
"""`iodiff shrink`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["shrink"]


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
    """Make reads that went wrong again, on the kernel that is running: ever fewer, of ever smaller files.

    Prints the smallest found as a script, which repeats it without iodiff. Needs root. Exit codes: 1 found,
    2 it does not happen again, 3 nothing in the bundle is wrong, or bad usage.
    """
    from harness.bundle import Bundle
    from harness.cli.run import work_root
    from harness.direct_io.script import script
    from harness.direct_io.smallest import smallest
    from harness.errors import EXIT_FAIL, UserError
    from harness.record.interruption import interruptible, interruptions_held
    from harness.run import new_run_id
    from loopdevs import LoopdevsError, Workspace

    opened = Bundle.open(bundle)
    try:
        with (
            interruptions_held(),
            Workspace.create(work or work_root() / new_run_id(), minimum_bytes=1 << 30) as workspace,
            interruptible(),
        ):
            found = smallest(opened, workspace, tries, _tell)
    except LoopdevsError as error:
        raise UserError(str(error)) from error
    _tell(f"the smallest of {found.tries}: {found.trial.wrong()[found.check]}")
    text = script(found.trial, found.check)
    if output is None:
        print(text, end="")
    else:
        output.write_text(text)
        output.chmod(0o755)
    return EXIT_FAIL


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
