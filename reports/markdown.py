# SPDX-License-Identifier: GPL-2.0-or-later
"""`report.md`: short enough to paste into a mail or an issue."""

from __future__ import annotations

import re

from harness.verdicts import Check, Verdict
from reports.describe import run_facts
from reports.difference import as_diff, place
from reports.kernels import SIMULATED
from reports.markdown_kernels import across_kernels, how_they_behave
from reports.markup import code, text
from reports.matrix import holes
from reports.run import CaseResult, Run
from reports.text import count, duration, plural
from reports.totals import LIMITS, Totals, conclusion

__all__ = ["markdown"]


def markdown(run: Run, totals: Totals) -> str:
    """Return the content of `report.md`."""
    lines = [
        f"# iodiff: {run.verdict}",
        "",
        f"{text(conclusion(run, totals))} {LIMITS}",
        "",
        *(f"- {label}: {code(value)}" for label, value in run_facts(run)),
        f"- Events: {count(totals.events)} recorded, {count(totals.lost)} lost",
        f"- {run.noun.capitalize()}s: {totals.cases_in_words}",
        "",
        *_compared(run, totals),
        *(across_kernels(run) if run.several else _cases(run)),
        *how_they_behave(run),
        *_holes(run),
        *_skipped(run),
        *_known_issues(run),
        *_news(run),
    ]
    for case in run.cases:
        if case.verdict.verdict in (Verdict.FAIL, Verdict.UNDECIDED) and not case.missing:
            lines += _problem(run, case)
    return "\n".join(lines).rstrip() + "\n"


def _compared(run: Run, totals: Totals) -> list[str]:
    if not totals.checks:
        return []
    rows = [
        f"| {text(c.name)} | {c.verdict} | {c.compared:,} | {c.wrong:,} | {c.cases} |" for c in totals.checks
    ]
    head = [f"| Check | Verdict | Compared | Wrong | {run.noun.capitalize()}s |", "|---|---|--:|--:|--:|"]
    return ["## Compared with the model", "", *head, *rows, ""]


def _cases(run: Run) -> list[str]:
    if not run.cases:
        return []
    head = ["| Verdict | Case | Compared | Wrong | Events | Lost | Took |", "|---|---|--:|--:|--:|--:|--:|"]
    note = [SIMULATED, ""] if run.kernels[0].simulated else []
    return ["## Cases", "", *head, *(_case(case) for case in run.cases), "", *note]


def _case(case: CaseResult) -> str:
    verdict = case.verdict
    numbers = [case.compared, case.wrong, verdict.events, verdict.lost]
    cells = [count(number) for number in numbers] if case.bundle else ["-"] * 4
    took = duration(case.wall_s) if case.bundle else "-"
    return f"| {verdict.verdict} | {code(case.id)} | {' | '.join(cells)} | {took} |"


def _holes(run: Run) -> list[str]:
    lines = [
        f"- {text(hole.kernel.label)}, {text(hole.reason)}: {', '.join(code(case) for case in hole.cases)}"
        for hole in holes(run)
    ]
    return ["Without a record:", "", *lines, ""] if lines else []


def _skipped(run: Run) -> list[str]:
    skipped = [case for case in run.cases if case.verdict.verdict is Verdict.SKIP]
    lines = [f"- {code(run.name(case))}: {text('; '.join(case.verdict.reasons))}" for case in skipped]
    return [f"Skipped: {plural(len(skipped), 'case')}", "", *lines, ""] if lines else []


def _known_issues(run: Run) -> list[str]:
    lines = [f"- {code(run.name(case))}: {text(issue)}" for case in run.cases for issue in case.known_issues]
    return ["Known issues of a kernel, let pass:", "", *lines, ""] if lines else []


def _news(run: Run) -> list[str]:
    lines = [
        f"- {code(run.name(case))}: {case.verdict.verdict}, was {text(case.news)}"
        for case in run.cases
        if case.news
    ]
    return ["Other than the last time:", "", *lines, ""] if lines else []


def _problem(run: Run, case: CaseResult) -> list[str]:
    verdict = case.verdict
    lines = [f"## {verdict.verdict}: {code(run.name(case))}", ""]
    lines += [f"{text(case.title)}", ""] if case.title else []
    lines += [f"- {text(reason)}" for reason in verdict.reasons]
    for check in verdict.checks:
        if check.verdict is not Verdict.PASS:
            lines += _check(check)
    commands = {"repeat": verdict.repeat, "judge again": verdict.judge}
    return [*lines, *(f"- {what}: {code(command)}" for what, command in commands.items() if command), ""]


def _check(check: Check) -> list[str]:
    detail = f": {text(check.detail)}" if check.detail else ""
    lines = [f"- **{text(check.name)}**: {check.wrong:,} of {check.compared:,} wrong{detail}"]
    if difference := check.first_difference:
        where = f" ({place(difference)})" if place(difference) else ""
        lines += [
            f"- first difference{where}: {text(difference.summary)}",
            "",
            *_fenced(as_diff(difference)),
            "",
        ]
    return lines


def _fenced(lines: list[str]) -> list[str]:
    # A fence must be longer than any run of backticks inside.
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}diff", *lines, fence] if lines else []
