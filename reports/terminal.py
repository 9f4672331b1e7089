# SPDX-License-Identifier: GPL-2.0-or-later
"""The summary at the end of a run, for a terminal of 80 columns or more, with or without colour."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.verdicts import Check, Verdict
from reports.across import Differences, differences
from reports.behaviours import Side, behaviours, in_words
from reports.describe import kernel_name
from reports.difference import as_diff, place
from reports.kernels import SIMULATED, Kernel
from reports.matrix import Cell, holes, matrix
from reports.run import CaseResult, Run
from reports.text import count, duration, plural, printable
from reports.totals import Totals, add_up, conclusion

__all__ = ["print_summary"]

_STYLE = {
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.UNDECIDED: "bold yellow",
    Verdict.SKIP: "dim",
}


def print_summary(run: Run, console: Console) -> None:
    """Print a line a case, what went wrong with its evidence, the totals, and what it means.

    Of several kernels each has a column, and then a line of its own.
    """
    totals = add_up(run.cases)
    if run.cases:
        console.print(_matrix_table(run) if run.several else _case_table(run))
    for case in run.cases:
        if case.verdict.verdict in (Verdict.FAIL, Verdict.UNDECIDED) and not case.missing:
            _print_problem(run, case, console)
    _print_holes(run, console)
    _print_skipped(run, console)
    _print_known_issues(run, console)
    _print_news(run, console)
    if run.several:
        _print_kernels(run, console)
        _print_behaviours(run, console)
    console.print()
    console.print(_totals_table(run, totals))
    console.print()
    console.print(Text.assemble(_verdict(run.verdict), "  ", _plain(conclusion(run, totals))))


def _case_table(run: Run) -> Table:
    table = _bare_table()
    table.add_column("Verdict", no_wrap=True)
    table.add_column("Case", overflow="fold")
    for name in ("Compared", "Events", "Lost", "Wall"):
        table.add_column(name, justify="right", no_wrap=True)
    for case in run.cases:
        numbers = [
            count(case.compared),
            count(case.verdict.events),
            count(case.verdict.lost),
            duration(case.wall_s),
        ]
        table.add_row(_verdict(case.verdict.verdict), _plain(case.id), *(numbers if case.bundle else "----"))
    return table


def _matrix_table(run: Run) -> Table:
    table = _bare_table()
    suites = sorted({case.verdict.suite for case in run.cases})
    common = suites[0] if len(suites) == 1 else ""
    table.add_column(_plain(common or "Case"), overflow="fold")
    for kernel in run.kernels:
        # Broken at the dash: five kernels and the names of the cases fit 80 columns.
        table.add_column(Text(printable(kernel.label).replace("-", "\n", 1), overflow="fold"), min_width=9)
    for row in matrix(run):
        table.add_row(_plain(row.case.removeprefix(f"{common}/")), *(_cell(cell) for cell in row.cells))
    return table


def _cell(cell: Cell) -> Text:
    if not cell.cases:
        return Text("n/a", style="dim")
    if cell.hole:
        return Text("—", style=_STYLE[Verdict.UNDECIDED])
    return Text(" ").join(_verdict(case.verdict.verdict) for case in cell.recorded)


def _print_holes(run: Run, console: Console) -> None:
    for hole in holes(run):
        where = f" on {hole.kernel.label}" if run.several else ""
        what = f"{plural(len(hole.cases), 'case')} without a record{where}"
        console.print()
        console.print(Text.assemble(_verdict(Verdict.UNDECIDED), "  ", _plain(f"{what}: {hole.reason}")))
        _print_indented(console, ", ".join(hole.cases))


def _print_kernels(run: Run, console: Console) -> None:
    table = _bare_table()
    for name, right in (("Kernel", 0), ("Release", 0), ("Guest", 0), ("Cases", 0), ("Wall", 1)):
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for kernel in run.kernels:
        table.add_row(*(_plain(text) for text in _kernel_cells(run, kernel)))
    console.print()
    console.print(table)
    lines = [f"- {line}" for line in _in_lines(differences(run))]
    lines += [SIMULATED] if any(kernel.simulated for kernel in run.kernels) else []
    if lines:
        console.print()
    for line in lines:
        _print_indented(console, line, by=0)


def _kernel_cells(run: Run, kernel: Kernel) -> list[str]:
    cases = ", ".join(add_up(run.on(kernel)).in_short)
    guest = kernel.accelerator.upper() or "-"
    return [kernel.label, kernel.release, guest, cases, duration(kernel.wall_s)]


def _print_behaviours(run: Run, console: Console) -> None:
    """Print those in which the kernels differ, with how many reads decide each."""
    found = behaviours(run)
    if not found.differing:
        return
    table = _bare_table()
    table.add_column("Direct reads", overflow="fold")
    for kernel in found.kernels:
        table.add_column(Text(printable(kernel.label).replace("-", "\n", 1), overflow="fold"))
    for row in found.differing:
        table.add_row(_plain(row.field), *map(_side_cell, row.sides))
    console.print()
    console.print(table)
    _print_indented(console, "In brackets: how many reads decide it. What each means: report.html.", by=0)


def _side_cell(side: Side | None) -> Text:
    if side is None or not side.looked_at:
        return _plain(in_words(side))
    against = Text(f" {side.against:,} against", style=_STYLE[Verdict.FAIL]) if side.against else Text()
    return Text.assemble(_plain(f"{in_words(side)} ({side.decided:,})"), against)


def _in_lines(found: Differences) -> list[str]:
    lines = []
    for feature in found.features:
        on, not_on = (", ".join(kernel.label for kernel in side) for side in (feature.on, feature.not_on))
        lines.append(f"{feature.kind} {', '.join(feature.names)}: on {on}; not on {not_on}")
    return lines


def _bare_table() -> Table:
    return Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="underline")


def _print_problem(run: Run, case: CaseResult, console: Console) -> None:
    verdict = case.verdict
    console.print()
    console.print(Text.assemble(_verdict(verdict.verdict), "  ", _plain(run.name(case))))
    if case.news:
        _print_indented(console, f"before: {case.news}")
    for reason in verdict.reasons:
        _print_indented(console, reason)
    for check in verdict.checks:
        if check.verdict is not Verdict.PASS:
            _print_check(check, console)
    commands = {"repeat": verdict.repeat, "judge again": verdict.judge}
    for what, command in commands.items():
        if command:
            # Left to the terminal to wrap, so that it copies as one line.
            console.print(_plain(f"  {what}: {command}"), soft_wrap=True, highlight=False)


def _print_check(check: Check, console: Console) -> None:
    detail = f"; {check.detail}" if check.detail else ""
    _print_indented(console, f"{check.name}: {count(check.wrong)} of {count(check.compared)} wrong{detail}")
    if difference := check.first_difference:
        where = f" at {place(difference)}" if place(difference) else ""
        _print_indented(console, f"first difference{where}: {difference.summary}")
        for line in as_diff(difference):
            _print_indented(console, line, by=4)


def _print_skipped(run: Run, console: Console) -> None:
    skipped = [case for case in run.cases if case.verdict.verdict is Verdict.SKIP]
    if skipped:
        console.print("\nSkipped")
    for case in skipped:
        _print_indented(console, f"{run.name(case)}: {'; '.join(case.verdict.reasons) or 'no reason given'}")


def _print_known_issues(run: Run, console: Console) -> None:
    lines = [f"{run.name(case)}: {issue}" for case in run.cases for issue in case.known_issues]
    if lines:
        console.print("\nKnown issues of a kernel, let pass (docs/known-issues.md)")
    for line in lines:
        _print_indented(console, line)


def _print_news(run: Run, console: Console) -> None:
    """Print which cases are better than the last time; of those that are worse it is told where they are."""
    better = [case for case in run.cases if case.news and case.verdict.verdict is Verdict.PASS]
    if better:
        console.print("\nPASS now")
    for case in better:
        _print_indented(console, f"{run.name(case)}: was {case.news}")


def _totals_table(run: Run, totals: Totals) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column(overflow="fold", max_width=24)
    for check in totals.checks:
        where = plural(check.cases, run.noun)
        told = f"{count(check.compared)} compared, {count(check.wrong)} wrong, in {where}"
        table.add_row(_plain(check.name), _plain(told))
    lost = f"{count(totals.lost)} lost{_losses(totals)}"
    table.add_row("events", _plain(f"{count(totals.events)} recorded, {lost}"))
    if totals.largest:
        case, mark = totals.largest
        table.add_row(
            "largest checkpoint", _plain(f"{count(mark.live_states)} live states, {mark.name} in {case}")
        )
    table.add_row(f"{run.noun}s", f"{totals.cases_in_words}, in {duration(run.wall_s)}")
    if not run.several:
        table.add_row("kernel", _plain(_kernel(run.kernels[0])))
    report = run.path / "report.html"
    if report.is_file():
        table.add_row("report", Text(printable(str(report)), overflow="fold"))
    return table


def _kernel(kernel: Kernel) -> str:
    note = f". {SIMULATED}" if kernel.simulated else ""
    return ", ".join(text for text in (kernel_name(kernel), kernel.guest_in_words) if text) + note


def _losses(totals: Totals) -> str:
    causes = [f"{name} {count(number)}" for name, number in totals.lost_reasons.items() if number]
    return f" ({', '.join(causes)})" if causes else ""


def _verdict(verdict: Verdict) -> Text:
    return Text(verdict, style=_STYLE[verdict])


def _plain(text: str) -> Text:
    # A Text is not searched for markup, so a bundle cannot style or hide anything.
    return Text(printable(text).replace("\n", " "))


def _print_indented(console: Console, text: str, by: int = 2) -> None:
    console.print(
        Padding(Text(printable(text), overflow="fold"), (0, 0, 0, by), expand=False), highlight=False
    )
