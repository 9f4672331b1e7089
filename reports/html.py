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
from reports.across import NOTABLE, differences, figure
from reports.behaviours import behaviours, in_words
from reports.cache_map import CacheMap, cache_map_plot
from reports.describe import Fact, case_facts, run_facts
from reports.difference import Row, align, place
from reports.fio import FioRow, TaskRow, fio_rows, task_rows
from reports.kernels import SIMULATED, Kernel
from reports.matrix import holes, matrix
from reports.plots import SERIES_COLOURS, operations_plot, series_order, states_plot
from reports.record import Checkpoint, Excerpt, checkpoints, console, dmesg, excerpt, steps, tail
from reports.run import CaseResult, Run
from reports.text import dig
from reports.timeline import MAX_POINTS
from reports.totals import LIMITS, Totals, add_up, conclusion

__all__ = ["TEMPLATES", "environment", "html"]

TEMPLATES = Path(__file__).parent / "templates"
ROWS_IN_ALL = 6000
"""Rows of steps, log lines and checkpoints on the page, shared by its cases: this bounds its size."""
POINTS_IN_ALL = 12_000
"""Steps of the curves on the page, shared likewise."""


@dataclass(frozen=True)
class CaseView:
    """A case as the template shows it: what is in its bundle, read once."""

    case: CaseResult
    number: int
    limit: int
    """Rows to show of anything that can be long."""
    points: int
    """Steps of each curve."""
    name: str
    """What to call it: with its kernel, when there are several."""

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
    def console(self) -> Excerpt:
        """The end of what the guest said on its console."""
        return tail(console(self.case.bundle) if self.case.bundle else [], self.limit)

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
        return operations_plot(self.case.timeline, self.points) if self.case.timeline.ops else None

    @property
    def states_plot(self) -> Markup | None:
        """Live states over time, if the judge left a series."""
        if not len(self.case.timeline.live_states):
            return None
        return states_plot(self.case.timeline, self.points)

    @property
    def cache_maps(self) -> list[tuple[CacheMap, Markup]]:
        """What a cache held of its backing devices, if the judge left maps of that."""
        found = map(CacheMap.read, self.case.verdict.cache_maps)
        return [(each, cache_map_plot(each)) for each in found]

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


@dataclass(frozen=True)
class Column:
    """The head of a kernel's column."""

    kernel: Kernel
    totals: Totals


def html(run: Run, totals: Totals) -> str:
    """Return the content of `report.html`."""
    views = _views(run)
    script = (TEMPLATES / "page.js").read_text()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        environment()
        .get_template("report.html")
        .render(
            run=run,
            totals=totals,
            conclusion=conclusion(run, totals),
            limits=LIMITS,
            facts=run_facts(run),
            columns=[Column(kernel, add_up(run.on(kernel))) for kernel in run.kernels],
            rows=matrix(run),
            holes=holes(run),
            differences=differences(run),
            behaviours=behaviours(run),
            anchors={view.case.folder: view.anchor for view in views},
            missing=Verdict.UNDECIDED,
            notable=NOTABLE,
            simulated=SIMULATED if any(kernel.simulated for kernel in run.kernels) else "",
            risks=_risks(run, views, totals),
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


def _views(run: Run) -> list[CaseView]:
    cases = [case for case in run.cases if not case.missing]
    limit = max(12, min(300, ROWS_IN_ALL // (3 * max(len(cases), 1))))
    points = max(50, min(MAX_POINTS, POINTS_IN_ALL // max(len(cases), 1)))
    return [CaseView(case, n, limit, points, run.name(case)) for n, case in enumerate(cases, 1)]


def environment() -> Environment:
    """Return what fills the templates; text is escaped, and what does not print is spelled out."""
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
    environment.filters["figure"] = figure
    environment.filters["value"] = in_words
    # Bundles are not ours: what does not print is spelled out wherever a value is written.
    environment.finalize = lambda value: text.printable(value) if type(value) is str else value
    return environment


def _sides(check: Check) -> list[Row]:
    difference = check.first_difference
    return align(difference.model, difference.kernel) if difference else []


def _risks(run: Run, views: list[CaseView], totals: Totals) -> list[Risk]:
    recorded = [view for view in views if view.case.bundle]
    walks = [(view.name, walk) for view in views for walk in view.all_checkpoints]
    broken = [view.name for view in recorded if dig(view.case.manifest, "error")]
    absent = [run.name(case) for case in run.cases if not case.bundle]
    lost_guests = [f"{kernel.name}: {kernel.lost}" for kernel in run.kernels if kernel.lost]
    checks = [check for view in views for check in view.case.verdict.checks]
    invalid = [f"{walk.name} in {case}: {walk.reason}" for case, walk in walks if not walk.valid]
    causes = [f"{name} {number:,}" for name, number in totals.lost_reasons.items()]
    with_guest = sum(bool(kernel.guest or kernel.lost) for kernel in run.kernels)
    guests = text.plural(with_guest, "guest") if with_guest else ""
    known = [f"{view.name}: {issue}" for view in recorded for issue in view.case.known_issues]
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
            len(absent),
            text.plural(len(run.cases), run.noun),
            ", ".join(absent),
        ),
        Risk(
            "Faults of a kernel let pass as known issues",
            len(known),
            text.plural(len(recorded), "recording"),
            "; ".join(known),
        ),
        *([Risk("Guests lost", len(lost_guests), guests, "; ".join(lost_guests))] if guests else []),
    ]


def _counts(run: Run) -> list[tuple[str, int, int]]:
    """What the judge counted besides its checks: name, sum, and in how many cases."""
    sums, cases = Counter[str](), Counter[str]()
    for case in run.cases:
        sums.update(case.counts)
        cases.update(case.counts.keys())
    return [(name, number, cases[name]) for name, number in sums.items()]
