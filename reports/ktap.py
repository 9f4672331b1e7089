# SPDX-License-Identifier: GPL-2.0-or-later
"""A run as KTAP, version 1 (Documentation/dev-tools/ktap.rst): a test a kernel, with a subtest a case."""

from __future__ import annotations

from collections.abc import Iterator

from harness.verdicts import Verdict
from reports.kernels import Kernel
from reports.run import CaseResult, Run
from reports.text import printable

__all__ = ["ktap"]


def ktap(run: Run) -> str:
    """Return the run as KTAP.

    FAIL is `not ok`, with XFAIL if it was listed as a known issue; UNDECIDED is `not ok` with ERROR; SKIP has
    its reasons.
    """
    lines = ["KTAP version 1", f"1..{len(run.kernels)}"]
    for number, kernel in enumerate(run.kernels, 1):
        lines += _kernel(run, kernel, number)
    return "\n".join(lines) + "\n"


def _kernel(run: Run, kernel: Kernel, number: int) -> Iterator[str]:
    cases = run.on(kernel)
    yield "  KTAP version 1"
    yield f"  # Subtest: {_plain(kernel.label)}"
    yield f"  1..{len(cases)}"
    for place, case in enumerate(cases, 1):
        yield from (f"  {line}" for line in _case(case, place))
    bad = any(case.counted in (Verdict.FAIL, Verdict.UNDECIDED) for case in cases) or kernel.lost
    yield f"{'not ok' if bad else 'ok'} {number} {_plain(kernel.label)}"


def _case(case: CaseResult, place: int) -> Iterator[str]:
    verdict = case.verdict
    for check in verdict.checks:
        if check.verdict is not Verdict.PASS:
            yield f"# {_plain(check.name)}: {check.verdict}, {check.wrong} of {check.compared} wrong"
            if check.first_difference:
                yield f"# {_plain(check.first_difference.summary)}"
    result = "ok" if verdict.verdict in (Verdict.PASS, Verdict.SKIP) else "not ok"
    directive = _directive(case)
    yield f"{result} {place} {_plain(case.id)}{f' # {directive}' if directive else ''}"


def _directive(case: CaseResult) -> str:
    reasons = _plain("; ".join(case.verdict.reasons))
    match case.verdict.verdict:
        case Verdict.SKIP:
            return f"SKIP {reasons}".rstrip()
        case Verdict.UNDECIDED:
            return f"ERROR {reasons}".rstrip()
        case Verdict.FAIL if case.expected:
            return f"XFAIL {_plain(case.expected)}"
    return ""


def _plain(text: str) -> str:
    # A number sign would begin a directive, a line break another line.
    return printable(text).replace("#", "_").replace("\n", " ")
