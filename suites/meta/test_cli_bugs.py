# SPDX-License-Identifier: GPL-2.0-or-later
"""`iodiff bugs`: one defect at a time here; suites/meta/test_bugs_2007.py has all of them."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import harness.bugs
from harness.bugs import all_is_well, catalogue
from harness.cli.bugs import bugs
from harness.errors import EXIT_FAIL, EXIT_OK, UserError
from reference.bugs import ALL_DEFECTS
from reports.bugs import bugs_html, bugs_markdown, conclusion
from suites.meta.commands import complaint, iodiff

NAME = "hole_insert_overlaps"


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return catalogue(1, NAME, traces=True)


@pytest.fixture
def missed(found: dict[str, Any]) -> dict[str, Any]:
    (defect,) = found["defects"]
    nowhere = dict.fromkeys(defect["catches"])
    return {**found, "defects": [{**defect, "caught": False, "catches": nowhere}]}


@pytest.fixture
def unclean(found: dict[str, Any]) -> dict[str, Any]:
    catch = found["defects"][0]["catches"]["radix"]
    return {
        **found,
        "corrected": [{"version": "rbtree", "found": []}, {"version": "radix", "found": [catch]}],
    }


def test_one_defect_with_every_step() -> None:
    done = iodiff("bugs", NAME)
    assert done.returncode == EXIT_OK
    assert done.stdout.startswith(f"CAUGHT {NAME}  set_extent_bit 653/707\n")
    assert "-> Bug: BUG_ON(err == -EEXIST)" in done.stdout
    assert "*** Bug: BUG_ON(err == -EEXIST)" in done.stdout
    assert done.stderr == f"1/1 {NAME}\n"


def test_one_defect_for_programs() -> None:
    done = iodiff("bugs", NAME, "--json", "--seed", "3")
    told = json.loads(done.stdout)
    assert (done.returncode, told["seed"]) == (EXIT_OK, 3)
    (defect,) = told["defects"]
    assert (defect["name"], defect["caught"], defect["fixed_by_second"]) == (NAME, True, False)
    assert defect["lines"] == {"radix": 653, "rbtree": 707}
    for catch in defect["catches"].values():
        assert catch["way"] == "calls"
        assert catch["reproducer"]
        assert catch["trace"]


def test_all_names() -> None:
    done = iodiff("bugs", "--list")
    assert (done.returncode, done.stderr) == (EXIT_OK, "")
    assert done.stdout.split() == [defect.name for defect in ALL_DEFECTS]


def test_a_name_that_is_none() -> None:
    line = complaint(iodiff("bugs", "hole_insert_overlap"))
    assert line == f"hole_insert_overlap: no defect of that name: did you mean {NAME}?"
    assert "`iodiff bugs --list` names them all" in complaint(iodiff("bugs", "?"))


def test_a_page_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file"):
        bugs(NAME, html=tmp_path / "file" / "page.html")


def test_files_are_written(tmp_path: Path) -> None:
    page, table = tmp_path / "new" / "bugs.html", tmp_path / "bugs.md"
    assert bugs(NAME, html=page, markdown=table) == EXIT_OK
    assert NAME in page.read_text()
    assert NAME in table.read_text()


@pytest.mark.parametrize("wrong", ["missed", "unclean"])
def test_what_is_wrong_is_said_everywhere(
    wrong: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told: dict[str, Any] = request.getfixturevalue(wrong)
    assert not all_is_well(told)
    monkeypatch.setattr(harness.bugs, "catalogue", lambda *_, **__: told)
    assert bugs(None) == EXIT_FAIL
    printed = capsys.readouterr().out
    words = {"missed": ["MISSED", "no check finds it"], "unclean": ["FOUND in the corrected radix version"]}
    assert all(word in printed for word in words[wrong])
    assert 'class="head FAIL"' in bugs_html(told)
    lines = " ".join(conclusion(told))
    assert lines in " ".join(bugs_markdown(told).split("\n"))
    expected = {"missed": "0 of 1 defects", "unclean": "They find something in the corrected version: radix."}
    assert expected[wrong] in lines


class Page(HTMLParser):
    """Collects ids, links to them, and what would be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids.add(values.get("id") or "")
        if tag == "a":
            self.links.add((values.get("href") or "").removeprefix("#"))
        if tag in ("script", "link", "img", "iframe") or "src" in values:
            self.fetched.append(tag)


def test_the_page_is_whole_and_fetches_nothing(found: dict[str, Any]) -> None:
    found["defects"][0]["catches"]["radix"]["trace"].append("<script>alert(1)</script>")
    text = bugs_html(found)
    page = Page()
    page.feed(text)
    assert page.fetched == []
    assert page.links == {NAME}
    assert page.links <= page.ids
    assert 'class="head PASS"' in text
    assert re.search(r"default-src 'none'", text)
