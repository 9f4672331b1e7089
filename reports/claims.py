# SPDX-License-Identifier: GPL-2.0-or-later
"""Reports of claims: a page each, a page and Markdown with the table of all, and JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup

from harness.claims import ClaimReport, Conclusion, Figure, Table
from reports import text
from reports.claim_plots import claim_plot
from reports.html import TEMPLATES
from reports.html import environment as base_environment
from reports.markup import text as plain
from reports.plots import SERIES_COLOURS
from reports.write import write

__all__ = ["claims_json", "claims_markdown", "page_name", "write_claims"]

SIGNS = {
    Conclusion.REPRODUCED: "✓",
    Conclusion.PARTLY: "◐",
    Conclusion.NOT: "✕",
    Conclusion.UNTESTABLE: "?",
}
CLASSES = {
    Conclusion.REPRODUCED: "PASS",
    Conclusion.PARTLY: "UNDECIDED",
    Conclusion.NOT: "FAIL",
    Conclusion.UNTESTABLE: "SKIP",
}
"""Colours that the style sheet has for verdicts."""


def write_claims(reports: Sequence[ClaimReport], out: Path) -> list[Path]:
    """Write `claims.html`, `claims.md`, `claims.json` and a page for each claim; return their paths.

    UserError when a file cannot be written.
    """
    environment = _environment()
    style = Markup((TEMPLATES / "page.css").read_text())
    index = environment.get_template("claims.html")
    page = environment.get_template("claim.html")
    contents = {
        "claims.html": index.render(reports=reports, says=summary(reports), style=style),
        "claims.md": claims_markdown(reports),
        "claims.json": claims_json(reports),
        **{page_name(report): page.render(claim=report, style=style) for report in reports},
    }
    return [write(out / name, content) for name, content in contents.items()]


def page_name(report: ClaimReport) -> str:
    """Return the file name of a claim's page."""
    return f"claim-{report.id.replace('/', '-')}.html"


def summary(reports: Sequence[ClaimReport]) -> str:
    """Return how many claims came out how, in words."""
    counts = Counter(report.conclusion for report in reports)
    found = ", ".join(f"{counts[c]} {c.value}" for c in Conclusion if counts[c])
    return f"{text.plural(len(reports), 'claim')}: {found}."


def claims_json(reports: Sequence[ClaimReport]) -> str:
    """Return all reports as JSON."""
    return json.dumps({"format": 1, "claims": [report.to_json() for report in reports]}, indent=1) + "\n"


def claims_markdown(reports: Sequence[ClaimReport]) -> str:
    """Return the table of all claims, and below it the figures of each."""
    lines = ["# iodiff: published claims, measured", "", summary(reports), ""]
    lines += ["| Claim | Who | Conclusion | Why |", "|---|---|---|---|"]
    for report in reports:
        cells = (f'"{report.quotation}"', f"{report.author}, {report.date}", report.conclusion, report.why)
        lines.append(f"| {' | '.join(plain(cell) for cell in cells)} |")
    for report in reports:
        lines += _section(report)
    return "\n".join(lines) + "\n"


def _section(report: ClaimReport) -> list[str]:
    lines = ["", f"## {plain(report.id)}: {report.conclusion}", "", f"> {plain(report.quotation)}", ""]
    lines += [f"{plain(report.author)}, {report.date}; {plain(report.source)}", ""]
    parts = {"Method": report.method, "Real": report.real, "Simulated": report.simulated, "Rule": report.rule}
    lines += [f"- {name}: {plain(words)}" for name, words in parts.items()]
    lines += [f"- {plain(fact.what)}: {plain(fact.value)} ({fact.conclusion})" for fact in report.facts]
    lines += [f"- Mind: {plain(words)}" for words in report.deviations]
    for table in report.tables:
        lines += _table(table)
    return lines


def _table(table: Table) -> list[str]:
    numeric = [any(isinstance(row[n], int | float) for row in table.rows) for n in range(len(table.heads))]
    lines = ["", f"**{plain(table.title)}**", "", f"| {' | '.join(map(plain, table.heads))} |"]
    lines.append("|" + "".join("--:|" if is_number else "---|" for is_number in numeric))
    lines += [f"| {' | '.join(plain(figure(cell, table.digits)) for cell in row)} |" for row in table.rows]
    return [*lines, *(["", plain(table.note)] if table.note else [])]


def figure(value: Figure, digits: int = 2) -> str:
    """Return a cell as text.

    >>> figure(12345), figure(1.5), figure(None), figure("a")
    ('12,345', '1.50', '-', 'a')
    """
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.{digits}f}"
    return f"{value:,}" if isinstance(value, int) else value


def _environment() -> Environment:
    environment = base_environment()
    environment.filters["figure"] = figure
    environment.filters["plot"] = claim_plot
    environment.filters["page"] = page_name
    environment.filters["duration"] = text.duration
    environment.globals["signs"] = SIGNS
    environment.globals["classes"] = CLASSES
    environment.globals["colours"] = SERIES_COLOURS
    environment.tests["number"] = lambda value: isinstance(value, int | float)
    return environment
