# SPDX-License-Identifier: GPL-2.0-or-later
"""A case's history as a page: verdicts, failure rates, and how its figures went."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from harness.claims import Plot, Series
from reports.claim_plots import claim_plot
from reports.history.index import History, Result
from reports.history.rates import failure_rate
from reports.html import TEMPLATES, environment
from reports.plots import SERIES_COLOURS

__all__ = ["history_page"]

FIGURES = {"bandwidth": "bytes/s", "completion p99": "ns", "judging": "s"}
"""What is drawn, and its unit."""


def history_page(history: History, case: str, results: Sequence[Result]) -> str:
    """Return one self-contained page."""
    kernels = list(dict.fromkeys(one.kernel for one in results))
    rates = [
        (kernel, failure_rate(one.verdict for one in results if one.kernel == kernel)) for kernel in kernels
    ]
    plots = [plot for figure, unit in FIGURES.items() for plot in _plots(history, case, figure, unit)]
    style = Markup((TEMPLATES / "page.css").read_text())
    template = environment().get_template("history.html")
    return template.render(
        case=case, results=results[::-1], rates=rates, plots=plots, colours=SERIES_COLOURS, style=style
    )


def _plots(history: History, case: str, figure: str, unit: str) -> list[tuple[Plot, Markup]]:
    """Return a plot for each kernel that has the figure in two runs or more, a line for each job."""
    found = history.figures(case, figure)
    plots = []
    for kernel in dict.fromkeys(kernel for kernel, _ in found):
        lines = {subject: values for (of, subject), values in found.items() if of == kernel}
        times = sorted({time for values in lines.values() for time, _ in values})
        if len(times) < 2:
            continue
        series = [Series(subject or case, _along(times, values)) for subject, values in lines.items()]
        title = f"{figure} on {kernel}"
        labels = tuple(str(number) for number in range(1, len(times) + 1))
        plot = Plot(title, "lines", labels, tuple(series), unit, None, "run")
        plots.append((plot, claim_plot(plot)))
    return plots


def _along(times: Sequence[str], values: Sequence[tuple[str, float]]) -> tuple[float | None, ...]:
    at = dict(values)
    return tuple(at.get(time) for time in times)
