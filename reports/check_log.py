# SPDX-License-Identifier: GPL-2.0-or-later
"""`check.log`: a run as xfstests' `check` would tell it, for those whose scripts read that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.verdicts import Verdict
from reports.kernels import Kernel
from reports.run import CaseResult, Run
from reports.text import printable

__all__ = ["check_log"]


def check_log(run: Run) -> str:
    """Return the content of `check.log`: a section for each kernel."""
    return "\n".join(line for kernel in run.kernels for line in _section(run, kernel)) + "\n"


def _section(run: Run, kernel: Kernel) -> Iterator[str]:
    cases = run.on(kernel)
    yield f"SECTION       -- {printable(kernel.label)}"
    yield "FSTYP         -- btrfs"
    yield f"PLATFORM      -- Linux {printable(kernel.release)} {printable(kernel.version)}".rstrip()
    yield ""
    yield from (_case(case) for case in cases)
    ran = [case for case in cases if case.verdict.verdict is not Verdict.SKIP]
    yield f"Ran: {_names(ran)}".rstrip()
    not_run = [case for case in cases if case.verdict.verdict is Verdict.SKIP]
    if not_run:
        yield f"Not run: {_names(not_run)}"
    failed = [case for case in ran if case.counted in (Verdict.FAIL, Verdict.UNDECIDED)]
    if failed:
        yield f"Failures: {_names(failed)}"
        yield f"Failed {len(failed)} of {len(ran)} tests"
    else:
        yield f"Passed all {len(ran)} tests"
    yield ""


def _case(case: CaseResult) -> str:
    verdict = case.verdict
    name = printable(case.id)
    match verdict.verdict:
        case Verdict.PASS:
            return f"{name}  {case.wall_s:.0f}s"
        case Verdict.SKIP:
            return f"{name}  [not run] {printable('; '.join(verdict.reasons))}"
        case Verdict.FAIL:
            known = f" (known issue: {printable(case.expected)})" if case.expected else ""
            where = printable(str(case.folder))
            return f"{name}  - {case.wrong} of {case.compared} comparisons wrong{known} (see {where})"
    return f"{name}  [undecided] {printable('; '.join(verdict.reasons))}"


def _names(cases: Sequence[CaseResult]) -> str:
    return " ".join(printable(case.id) for case in cases)
