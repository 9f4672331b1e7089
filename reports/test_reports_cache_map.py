# SPDX-License-Identifier: GPL-2.0-or-later
"""Pictures of what a cache holds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.verdicts import Verdict
from reports.cache_map import CacheMap, cache_map_plot
from reports.cache_map_page import cache_map_page
from reports.conftest import judge, manifest, record, verdict_of, write_run
from reports.html import html
from reports.load import load_run
from reports.totals import add_up

CELLS = [[8, 0], [8, 8], [0, 0], [4, 2]]


def drawn(**changes: Any) -> dict[str, Any]:
    return {"title": "at the end", "device": 0, "columns": 3, "sectors_each": 8, "cells": CELLS, **changes}


def test_each_part_is_a_square_in_its_place_and_colour() -> None:
    plot = cache_map_plot(CacheMap.read(drawn()))
    squares = re.findall(r'<rect class="(\w+)" x="(\d+)" y="(\d+)" .*?opacity="([0-9.]+)"', plot)
    assert squares == [
        ("cached", "0", "0", "1.0"),
        ("dirty", "10", "0", "1.0"),
        ("none", "20", "0", "1"),
        ("dirty", "0", "10", "0.44"),
    ]


def test_it_is_told_in_words() -> None:
    words = "Device 0 at the end: 10 KiB cached, 5 KiB of that dirty; a square stands for 4 KiB"
    found = CacheMap.read(drawn())
    assert found.words == words
    assert f'aria-label="{words}"' in cache_map_plot(found)


@pytest.mark.parametrize(
    "changes",
    [
        {"cells": []},
        {"cells": [[0, 0]] * 4097},
        {"cells": [[9, 0]]},
        {"cells": [[1, 2]]},
        {"cells": [[1, -1]]},
        {"cells": [[1]]},
        {"columns": 0},
        {"sectors_each": 0},
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"map|cell|unpack"):
        CacheMap.read(drawn(**changes))


def reported(tmp_path: Path, **changes: Any) -> str:
    root = write_run(tmp_path / "r", ["s/a"])
    record(root / "host" / "s-a", manifest("s/a"))
    verdict = verdict_of("s/a", Verdict.PASS, cache_maps=(drawn(**changes),))
    judge(root / "host" / "s-a", verdict)
    run = load_run(root)
    return html(run, add_up(run.cases))


def test_a_case_shows_its_maps(tmp_path: Path) -> None:
    page = reported(tmp_path, title="after loss 3 <b>")
    assert "Device 0 after loss 3 &lt;b&gt;: 10 KiB cached" in page
    assert page.count("<rect") == 4


def test_a_verdict_with_a_broken_map_is_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a verdict"):
        reported(tmp_path, cells=[[1, 2]])


def test_a_page_of_its_own() -> None:
    page = cache_map_page("<cache>", [CacheMap.read(drawn(title="<b>"))], "no damage")
    assert "what &lt;cache&gt; caches" in page
    assert "<b>" not in page
    assert page.count("<rect") == 4
    assert "Nothing is cached" in cache_map_page("cache", [], "")
