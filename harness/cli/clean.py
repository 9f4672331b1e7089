# SPDX-License-Identifier: GPL-2.0-or-later
"""`iodiff clean`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.errors import EXIT_OK, EXIT_UNDECIDED, UserError

__all__ = ["clean"]


def clean(
    work: Annotated[
        Path | None, typer.Option(help="Work directory of one run; default: all below /var/tmp/iodiff.")
    ] = None,
) -> int:
    """Undo what killed runs left behind: mounts, loop devices, tracing instances, files.

    Only what iodiff's own journals name is touched; runs that are still alive are left alone.
    """
    import loopdevs
    from harness.cli.run import work_root

    try:
        found = loopdevs.clean(work_root(), work)
    except loopdevs.LoopdevsError as error:
        raise UserError(str(error)) from error
    for line in found.lines():
        print(line)
    return EXIT_UNDECIDED if found.failed else EXIT_OK
