# SPDX-License-Identifier: GPL-2.0-or-later
"""`report.md`: short enough to paste into a mail or an issue."""

from __future__ import annotations

import re

from harness.verdicts import Check, Verdict
from reports.describe import run_facts
from reports.difference import as_diff, place
from reports.run import CaseResult, Run
from reports.text import count, duration, plural, printable
from reports.totals import LIMITS, Totals, conclusion

__all__ = ["markdown"]


def markdown(run: Run, totals: Totals) -> str:
    """Return the content of `report.md`."""
    lines = [
        f"# iodiff: {run.verdict}",
        "",
        f"{_text(conclusion(run, totals))} {LIMITS}",
        "",
        *(f"- {label}: {_code(value)}" for label, value in run_facts(run)),
        f"- Events: {count(totals.events)} recorded, {count(totals.lost)} lost",
        f"- Cases: {totals.cases_in_words}",
        "",
        *_compared(totals),
        *_cases(run),
    ]
    for case in run.cases:
        if case.verdict.verdict in (Verdict.FAIL, Verdict.UNDECIDED):
            lines += _problem(case)
    return "\n".join(lines).rstrip() + "\n"


def _compared(totals: Totals) -> list[str]:
    if not totals.checks:
        return []
    rows = [
        f"| {_text(c.name)} | {c.verdict} | {c.compared:,} | {c.wrong:,} | {c.cases} |" for c in totals.checks
    ]
    head = ["| Check | Verdict | Compared | Wrong | Cases |", "|---|---|--:|--:|--:|"]
    return ["## Compared with the model", "", *head, *rows, ""]


def _cases(run: Run) -> list[str]:
    if not run.cases:
        return []
    head = ["| Verdict | Case | Compared | Wrong | Events | Lost | Took |", "|---|---|--:|--:|--:|--:|--:|"]
    return ["## Cases", "", *head, *(_case(case) for case in run.cases), "", *_skipped(run)]


def _case(case: CaseResult) -> str:
    verdict = case.verdict
    numbers = [case.compared, case.wrong, verdict.events, verdict.lost]
    cells = [count(number) for number in numbers] if case.bundle else ["-"] * 4
    took = duration(case.wall_s) if case.bundle else "-"
    return f"| {verdict.verdict} | {_code(case.id)} | {' | '.join(cells)} | {took} |"


def _skipped(run: Run) -> list[str]:
    skipped = [case for case in run.cases if case.verdict.verdict is Verdict.SKIP]
    lines = [f"- {_code(case.id)}: {_text('; '.join(case.verdict.reasons))}" for case in skipped]
    return [f"Skipped: {plural(len(skipped), 'case')}", "", *lines, ""] if lines else []


def _problem(case: CaseResult) -> list[str]:
    verdict = case.verdict
    lines = [f"## {verdict.verdict}: {_code(case.id)}", ""]
    lines += [f"{_text(case.title)}", ""] if case.title else []
    lines += [f"- {_text(reason)}" for reason in verdict.reasons]
    for check in verdict.checks:
        if check.verdict is not Verdict.PASS:
            lines += _check(check)
    commands = {"repeat": verdict.repeat, "judge again": verdict.judge}
    return [*lines, *(f"- {what}: {_code(command)}" for what, command in commands.items() if command), ""]


def _check(check: Check) -> list[str]:
    detail = f": {_text(check.detail)}" if check.detail else ""
    lines = [f"- **{_text(check.name)}**: {check.wrong:,} of {check.compared:,} wrong{detail}"]
    if difference := check.first_difference:
        where = f" ({place(difference)})" if place(difference) else ""
        lines += [
            f"- first difference{where}: {_text(difference.summary)}",
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


def _text(text: str) -> str:
    line = " ".join(printable(text).split())
    return re.sub(r"([\\`*\[\]|#])", r"\\\1", line).replace("&", "&amp;").replace("<", "&lt;")


def _code(text: str) -> str:
    line = " ".join(printable(text).split()).replace("`", "'").replace("|", "\\|")
    return f"`{line}`" if line else "-"
