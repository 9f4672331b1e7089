# SPDX-License-Identifier: GPL-2.0-or-later
"""The application: its commands, and what becomes of errors.

Commands import what they need when they run, so that `--help` answers at once.
"""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

import typer
from typer.exceptions import TyperException

from harness.cli import (
    bcache,
    bench,
    bisect,
    bugs,
    clean,
    compare,
    doctor,
    guest,
    history,
    judge,
    kernels,
    listing,
    report,
    run,
    selftest,
    shrink,
)
from harness.errors import EXIT_UNDECIDED, EXIT_USAGE, InfrastructureError, UserError
from harness.record.interruption import Interrupted

__all__ = ["app", "main"]

EXIT_SIGNAL = 128
"""Plus the number of the signal, as shells have it."""

app = typer.Typer(
    name="iodiff",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Does this kernel's storage code still do what its design says?\n\n"
    "iodiff sets up real btrfs on loop devices that it makes itself, drives it with fio, records what the "
    "kernel did, replays the record through a reference model, and reports every difference.\n\n"
    "Start with `./iodiff doctor`, then `./iodiff run`.",
    epilog="Exit codes: 0 all PASS or SKIP, 1 any FAIL, 2 any UNDECIDED or lost infrastructure, "
    "3 bad usage or environment, 130 interrupted (143 by SIGTERM).",
)
app.command("doctor")(doctor.doctor)
app.command("list")(listing.list_cases)
app.command("run")(run.run)
app.command("resume")(run.resume)
app.command("guest")(guest.guest)
app.command("judge")(judge.judge)
app.command("shrink")(shrink.shrink)
app.command("report")(report.report)
app.command("compare")(compare.compare)
app.command("history")(history.history)
app.command("bisect")(bisect.bisect)
app.command("bugs")(bugs.bugs)
app.command("bench")(bench.bench)
app.command("clean")(clean.clean)
app.add_typer(kernels.app, name="kernels")
app.add_typer(bcache.app, name="bcache")
app.command("test", context_settings={"ignore_unknown_options": True})(selftest.selftest)


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    try:
        sys.exit(app(prog_name="iodiff", standalone_mode=False) or 0)
    except TyperException as error:
        _complain(error.format_message())
        sys.exit(EXIT_USAGE)
    except UserError as error:
        _complain(str(error))
        sys.exit(EXIT_USAGE)
    except InfrastructureError as error:
        _complain(str(error))
        sys.exit(EXIT_UNDECIDED)
    except Exception:
        # Not Python's own code for it, 1: that would read as the verdict FAIL.
        sys.excepthook(*sys.exc_info())
        _complain("this is a bug in iodiff, which decided nothing: report it with the lines above")
        sys.exit(EXIT_UNDECIDED)
    except Interrupted as error:
        _complain(f"{error}: what was made is gone, what was finished is kept")
        sys.exit(EXIT_SIGNAL + error.number)
    except (KeyboardInterrupt, typer.Abort):
        _complain("interrupted")
        sys.exit(EXIT_SIGNAL + signal.SIGINT)


def _complain(message: str) -> None:
    print(f"iodiff: {message}", file=sys.stderr)
