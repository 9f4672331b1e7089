# SPDX-License-Identifier: GPL-2.0-or-later
"""`report.html`: one self-contained page. Nothing is fetched and only our own script may run."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness.verdicts import Check, Verdict
from reports import text
from reports.describe import Fact, case_facts, run_facts
from reports.difference import Row, align, place
from reports.fio import FioRow, TaskRow, fio_rows, task_rows
from reports.plots import SERIES_COLOURS, operations_plot, series_order, states_plot
from reports.record import Checkpoint, Excerpt, checkpoints, dmesg, excerpt, steps
from reports.run import CaseResult, Run
from reports.totals import LIMITS, Totals, conclusion

__all__ = ["html"]

TEMPLATES = Path(__file__).parent / "templates"
ROWS_IN_ALL = 6000
"""Rows of steps, log lines and checkpoints on the page, shared by its cases: this bounds its size."""


@dataclass(frozen=True)
class CaseView:
    """A case as the template shows it: what is in its bundle, read once."""

    case: CaseResult
    number: int
    limit: int
    """Rows to show of anything that can be long."""

    @property
    def anchor(self) -> str:
        """The case's id in the page."""
        return f"case-{self.number}"

    @cached_property
    def facts(self) -> list[Fact]:
        """What ran on what."""
        return case_facts(self.case)

    @cached_property
    def all_checkpoints(self) -> list[Checkpoint]:
        """The recorded checkpoints."""
        return checkpoints(self.case.bundle) if self.case.bundle else []

    @property
    def checkpoints(self) -> Excerpt:
        """The checkpoints to show."""
        return excerpt(self.all_checkpoints, self.limit)

    @property
    def steps(self) -> Excerpt:
        """The op log to show."""
        return excerpt(steps(self.case.bundle) if self.case.bundle else [], self.limit)

    @property
    def dmesg(self) -> Excerpt:
        """The kernel's log to show."""
        return excerpt(dmesg(self.case.bundle) if self.case.bundle else [], self.limit)

    @property
    def fio(self) -> Excerpt:
        """fio's figures."""
        rows: list[FioRow] = fio_rows(self.case.bundle) if self.case.bundle else []
        return excerpt(rows, self.limit)

    @property
    def tasks(self) -> Excerpt:
        """What fio's processes cost."""
        rows: list[TaskRow] = task_rows(self.case.bundle) if self.case.bundle else []
        return excerpt(rows, self.limit)

    @property
    def operations_plot(self) -> Markup | None:
        """Operations over time, if the judge left a series."""
        return operations_plot(self.case.timeline) if self.case.timeline.ops else None

    @property
    def states_plot(self) -> Markup | None:
        """Live states over time, if the judge left a series."""
        return states_plot(self.case.timeline) if len(self.case.timeline.live_states) else None

    @property
    def legend(self) -> list[tuple[int, str, int]]:
        """Colour, name and total of each kind of operation, from the top of the stack down."""
        ops = self.case.timeline.ops
        kinds = list(enumerate(series_order(self.case.timeline)))
        return [(n % SERIES_COLOURS, name, int(ops[name].sum())) for n, name in reversed(kinds)]


@dataclass(frozen=True)
class Risk:
    """Something that would weaken a verdict, and how often it happened."""

    what: str
    happened: int
    of: str
    detail: str = ""


def html(run: Run, totals: Totals) -> str:
    """Return the content of `report.html`."""
    limit = max(12, min(300, ROWS_IN_ALL // (3 * max(len(run.cases), 1))))
    views = [CaseView(case, number, limit) for number, case in enumerate(run.cases, 1)]
    script = (TEMPLATES / "page.js").read_text()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        _environment()
        .get_template("report.html")
        .render(
            run=run,
            totals=totals,
            conclusion=conclusion(run, totals),
            limits=LIMITS,
            facts=run_facts(run),
            risks=_risks(views, totals),
            counts=_counts(run),
            views=views,
            attention=[
                view for view in views if view.case.verdict.verdict in (Verdict.FAIL, Verdict.UNDECIDED)
            ],
            style=Markup((TEMPLATES / "page.css").read_text()),
            script=Markup(script),
            script_digest=f"sha256-{digest}",
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("count", "duration", "latency", "plural", "printable", "rate", "size"):
        environment.filters[name] = getattr(text, name)
    environment.filters["sides"] = _sides
    environment.filters["place"] = place
    # Bundles are not ours: what does not print is spelled out wherever a value is written.
    environment.finalize = lambda value: text.printable(value) if type(value) is str else value
    return environment


def _sides(check: Check) -> list[Row]:
    difference = check.first_difference
    return align(difference.model, difference.kernel) if difference else []


def _risks(views: list[CaseView], totals: Totals) -> list[Risk]:
    recorded = [view.case for view in views if view.case.bundle]
    walks = [(view.case.id, walk) for view in views for walk in view.all_checkpoints]
    broken = [case.id for case in recorded if case.manifest and case.manifest.get("error")]
    checks = [check for view in views for check in view.case.verdict.checks]
    invalid = [f"{walk.name} in {case}: {walk.reason}" for case, walk in walks if not walk.valid]
    causes = [f"{name} {number:,}" for name, number in totals.lost_reasons.items()]
    return [
        Risk(
            "Events lost while recording", totals.lost, text.plural(totals.events, "event"), ", ".join(causes)
        ),
        Risk(
            "Recordings that broke off",
            len(broken),
            text.plural(len(recorded), "recording"),
            ", ".join(broken),
        ),
        Risk(
            "Checkpoints spoilt by activity during the walk",
            len(invalid),
            text.plural(len(walks), "checkpoint"),
            "; ".join(invalid),
        ),
        Risk(
            "Checks that had nothing to compare",
            sum(check.compared == 0 for check in checks),
            text.plural(len(checks), "check"),
        ),
        Risk(
            "Cases without a record",
            len(views) - len(recorded),
            text.plural(len(views), "case"),
            ", ".join(view.case.id for view in views if not view.case.bundle),
        ),
    ]


def _counts(run: Run) -> list[tuple[str, int, int]]:
    """What the judge counted besides its checks: name, sum, and in how many cases."""
    sums, cases = Counter[str](), Counter[str]()
    for case in run.cases:
        sums.update(case.verdict.counts)
        cases.update(case.verdict.counts.keys())
    return [(name, number, cases[name]) for name, number in sums.items()]
