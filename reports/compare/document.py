# SPDX-License-Identifier: GPL-2.0-or-later
"""A comparison as Markdown, as a page, and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from markupsafe import Markup

from reports.compare.comparison import Comparison
from reports.compare.sections import Section, sections
from reports.html import TEMPLATES, environment
from reports.markup import code, text

__all__ = ["html", "json_text", "markdown"]


def markdown(found: Comparison) -> str:
    """Return it as Markdown."""
    lines = ["# iodiff: comparison", "", text(found.conclusion), ""]
    lines += [f"- {text(side.name)}: {code(side.run.run_id)}, {text(_release(side))}" for side in found.sides]
    lines += ["", *(f"{text(note)}\n" for note in found.notes)]
    for section in sections(found):
        lines += [f"## {text(section.title)}", "", *_table(section), ""]
        lines += [text(section.note), ""] if section.note else []
    return "\n".join(lines).rstrip() + "\n"


def _table(section: Section) -> list[str]:
    rows = [[text(cell.text) for cell in row] for row in section.rows]
    head = [text(name) for name in section.head]
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def html(found: Comparison) -> str:
    """Return it as one self-contained page."""
    template = environment().get_template("compare.html")
    style = Markup((TEMPLATES / "page.css").read_text())
    releases = [(side, _release(side)) for side in found.sides]
    return template.render(found=found, sections=sections(found), releases=releases, style=style)


def json_text(found: Comparison) -> str:
    """Return it as JSON, `format` 1: everything, in the units of the bundles."""
    told: dict[str, Any] = {
        "format": 1,
        "conclusion": found.conclusion,
        "regressed": found.regressed,
        "threshold": found.threshold,
        "notes": found.notes,
        "sides": [
            {"name": side.name, "run_id": side.run.run_id, "kernel": _release(side)} for side in found.sides
        ],
        "cases": [asdict(row) for row in found.cases],
        "behaviours": [asdict(row) for row in found.behaviours.differing],
        "figures": [asdict(row) for row in found.figures],
    }
    return json.dumps(told, indent=1) + "\n"


def _release(side: Any) -> str:
    return str(side.results[0].release)
