# SPDX-License-Identifier: GPL-2.0-or-later
"""Reports of claims: whole, self-contained, and safe against what is in them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from harness.claims import ClaimReport, Conclusion, Fact, Plot, Series, Table
from reports.claim_plots import claim_plot
from reports.claims import claims_json, claims_markdown, page_name, write_claims

EVIL = "<b>&|`"


def report(conclusion: Conclusion = Conclusion.PARTLY, name: str = "thread/claim") -> ClaimReport:
    bars = Plot("Bars", "bars", ("a", EVIL, "c"), (Series("ratio", (3.0, None, 1.5)),), "times", 2.0)
    lines = Plot("Lines", "lines", ("1", "2"), (Series("x", (1.0, 2.0)), Series("y", (3.0, 0.0))), "bytes")
    whiskers = Plot("W", "bars", ("a",), (Series("t", (2.0,), (1.5,), (2.5,)),), "s")
    return ClaimReport(
        id=name,
        quotation=f"much {EVIL} faster",
        author="Somebody",
        date="2007-07-24",
        source="a list, line 1",
        takes="a kernel",
        method="measuring",
        real="nothing",
        simulated="all",
        constants=(("much", "2"),),
        rule="a rule",
        conclusion=conclusion,
        why="because",
        facts=(Fact("a fact", "1.5", conclusion),),
        tables=(Table("T", ("what", "n", "ratio"), ((EVIL, 12345, 1.234), ("none", None, 2.0)), "a note"),),
        plots=(bars, lines, whiskers),
        machine="a machine",
        deviations=("mind this",),
    )


def test_all_files_are_written(tmp_path: Path) -> None:
    reports = [report(c, f"thread/claim-{n}") for n, c in enumerate(Conclusion)]
    paths = write_claims(reports, tmp_path / "new")
    assert [path.name for path in paths] == [
        "claims.html",
        "claims.md",
        "claims.json",
        *map(page_name, reports),
    ]
    index = paths[0].read_text()
    for each in reports:
        assert f'href="{page_name(each)}"' in index
        assert each.conclusion.value in index
    assert "4 claims: 1 reproduced, 1 partly reproduced, 1 not reproduced, 1 cannot be tested." in index


def test_a_page_needs_nothing_else_and_obeys_nothing_foreign(tmp_path: Path) -> None:
    page = write_claims([report()], tmp_path)[-1].read_text()
    assert not re.search(r"https?://|\bsrc=|<script|@import|url\(", page)
    assert "<b>&|" not in page
    assert page.count("&lt;b&gt;") >= 3
    assert set(re.findall(r'href="([^"]*)"', page)) == {"claims.html", "data:,"}


def test_a_page_has_the_claim_its_rule_and_its_figures(tmp_path: Path) -> None:
    page = write_claims([report()], tmp_path)[-1].read_text()
    for words in (
        "Somebody",
        "line 1",
        "a rule",
        "a fact",
        "12,345",
        "1.23",
        "a note",
        "mind this",
        "a machine",
    ):
        assert words in page
    assert page.count("<svg ") == 3


def test_markdown_has_a_row_a_claim_and_every_table() -> None:
    text = claims_markdown([report(), report(name="thread/other")])
    rows = [line for line in text.splitlines() if line.startswith('| "much')]
    assert len(rows) == 2
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 5 for row in rows)
    assert text.count("12,345") == 2


def test_json_has_everything() -> None:
    (claim,) = json.loads(claims_json([report()]))["claims"]
    assert claim["format"] == 1
    assert claim["conclusion"] == "partly reproduced"
    assert claim["tables"][0]["rows"][0] == [EVIL, 12345, 1.234]
    assert claim["plots"][0]["series"][0]["values"] == [3.0, None, 1.5]


def widths(svg: str) -> list[float]:
    return [float(width) for width in re.findall(r'<rect [^>]*width="([\d.]+)"', svg)]


def test_bars_are_as_long_as_their_values() -> None:
    long, short = widths(claim_plot(report().plots[0]))
    assert long == pytest.approx(2 * short, abs=0.2)
    assert "no figure" in claim_plot(report().plots[0])
    assert "compared with 2" in claim_plot(report().plots[0])


def test_whiskers_reach_around_the_bar() -> None:
    svg = claim_plot(report().plots[2])
    low, high = (float(x) for x in re.findall(r'whisker" d="M([\d.]+) [\d.]+H([\d.]+)', svg)[0])
    (width,) = widths(svg)
    assert low < 210 + width < high


def test_plots_of_nothing_but_zeroes_can_be_drawn() -> None:
    nothing = Plot("Z", "bars", ("a",), (Series("t", (0.0,)),), "s")
    assert widths(claim_plot(nothing)) == [0.0]
