# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from harness.bundle import Bundle
from harness.errors import UserError
from harness.verdicts import Check, Verdict
from reports import load_run, print_summary, write_all
from reports.conftest import CASES, HOSTILE, judge, manifest, record, timeline, verdict_of, write_run

VOID = {"meta", "input", "br", "link", "hr", "img"}


class Page(HTMLParser):
    """Collects text, ids and links, and insists that every element is closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.scripts = 0
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.scripts += tag == "script"
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.links += [value for name, value in attrs if name in ("href", "src") and value]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass  # <path/> and <circle/> inside svg

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def written(root: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in write_all(load_run(root), root)}


def test_all_files_are_written_and_nothing_else(sample: Path) -> None:
    before = {path.name for path in sample.iterdir()}
    names = ["summary.json", "junit.xml", "results.csv", "check.log", "report.md", "report.html"]
    assert [path.name for path in write_all(load_run(sample), sample)] == names
    assert {path.name for path in sample.iterdir()} == before | set(names)


def test_bundles_stay_valid_and_the_run_can_be_reported_again(sample: Path) -> None:
    assert written(sample) == written(sample)


def test_report_is_not_written_into_a_bundle(sample: Path) -> None:
    bundle = sample / "host" / "random-writes"
    with pytest.raises(UserError, match="is a bundle"):
        write_all(load_run(bundle), bundle)
    Bundle.open(bundle)


def test_unwritable_place_is_one_clear_line(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="give another folder"):
        write_all(load_run(sample), tmp_path / "file")


def test_failed_write_leaves_nothing_behind(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "summary.json").mkdir(parents=True)
    with pytest.raises(UserError, match=r"summary\.json"):
        write_all(load_run(sample), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["summary.json"]


def test_summary_has_the_documented_keys(sample: Path) -> None:
    summary = json.loads(written(sample)["summary.json"])
    assert tuple(summary) == (
        *("format", "run_id", "verdict", "interrupted", "started", "wall_s", "command", "kernels"),
        *("cases", "behaviours"),
    )
    assert (summary["format"], summary["verdict"], summary["wall_s"]) == (2, "FAIL", 72.5)
    (kernel,) = summary["kernels"]
    assert list(kernel) == (
        [
            "label",
            "name",
            "release",
            "version",
            "config_sha256",
            "guest",
            "wall_s",
            "lost",
            "verdicts",
            "missing",
        ]
    )
    case = summary["cases"][1]
    assert list(case) == (
        [
            "kernel",
            "id",
            "suite",
            "verdict",
            "events",
            "lost",
            "seed",
            "path",
            "repeat",
            "judge",
            "reasons",
            "wall_s",
            "judged_s",
            "behaviours",
            "known_issues",
            "previous",
            "checks",
        ]
    )
    assert (case["id"], case["suite"], case["verdict"], case["events"]) == (
        CASES[1],
        "extent_state",
        "FAIL",
        3000,
    )
    assert case["checks"][0] == {
        "name": "operations",
        "verdict": "FAIL",
        "compared": 1000,
        "wrong": 2,
        "detail": "wrong: merge",
    }
    assert summary["cases"][2]["lost"] == 17
    assert Path(summary["cases"][3]["path"]) == sample / "host" / "raid1c4"
    assert summary["cases"][3]["reasons"][0] == "the kernel has no raid1c4"


def test_junit_counts_and_places_every_verdict(sample: Path) -> None:
    root = ET.fromstring(written(sample)["junit.xml"])
    suite = root.find("testsuite")
    assert suite is not None
    counts = {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "5", "failures": "1", "errors": "1", "skipped": "1"}
    kinds = [[child.tag for child in case][:-1] for case in suite.findall("testcase")]
    assert kinds == [[], ["failure"], ["error"], ["skipped"], []]
    assert suite.get("time") == "48.500"
    assert [case.get("time") for case in suite.findall("testcase")][3] == "0.000"


def test_junit_has_the_shape_of_the_schema(sample: Path) -> None:
    root = ET.fromstring(written(sample)["junit.xml"])
    assert set(root.attrib) <= {"name", "time", "tests", "failures", "errors"}
    (suite,) = root
    required = {"name", "tests", "failures", "errors", "skipped", "time", "timestamp", "hostname"}
    assert set(suite.attrib) == required
    assert suite.get("timestamp") == "2026-11-20T10:15:00"
    assert suite[0].tag == "properties"
    assert {element.tag for element in suite[1:]} == {"testcase"}
    for case in suite[1:]:
        assert set(case.attrib) == {"name", "classname", "time"}


def test_junit_tells_kernel_devices_evidence_and_reasons(sample: Path) -> None:
    root = ET.fromstring(written(sample)["junit.xml"])
    properties = {p.get("name"): p.get("value") for p in root.iter("property")}
    assert (properties["kernel"], properties["kernel.release"]) == ("host", "6.18.44")
    assert properties[f"devices.{CASES[0]}"] == "4 x 2 GiB, loop devices on tmpfs, data raid1, metadata raid1"
    failure, error, skipped = (root.find(f".//{tag}") for tag in ("failure", "error", "skipped"))
    assert failure is not None
    assert error is not None
    assert skipped is not None
    assert "event 1,234" in (failure.text or "")
    assert "+ [4096, 8191] LOCKED" in (failure.text or "")
    assert "17 of 2,017 events were lost" in error.get("message", "")
    assert "needs 4 devices" in skipped.get("message", "")


def test_markdown_tells_the_story_in_short(sample: Path) -> None:
    report = written(sample)["report.md"]
    assert report.startswith("# iodiff: FAIL\n")
    assert "| operations | FAIL | 864,481 | 2 | 3 |" in report
    assert f"| SKIP | `{CASES[3]}` | - | - | - | - | - |" in report
    assert "```diff\n--- model\n+++ kernel\n" in report
    assert f"- repeat: `./iodiff run --seed 7 {CASES[1]}`" in report
    assert "17 of 2,017 events were lost" in report
    assert len(report) < 6000


def test_markdown_tables_keep_their_columns(sample: Path) -> None:
    rows = [line for line in written(sample)["report.md"].splitlines() if line.startswith("|")]
    widths = {len(re.findall(r"(?<!\\)\|", row)) - 1 for row in rows}
    assert widths == {5, 7}


def test_page_holds_the_evidence(sample: Path) -> None:
    page = Page(written(sample)["report.html"])
    content = " ".join(" ".join(page.text).split())
    for expected in (
        "2 of 872,695 comparisons",
        "2,595,010",
        "at event 1,234, 0.532000 s into the recording",
        "[8192, 16383] LOCKED",
        "ring full 17",
        "during the walk 1 4 checkpoints randrw-0 in extent_state/contention: 3 events fired",
        "UNDECIDED extent_state/contention 500 0 2,000 17 - 12.1 s",
        "8 frees deferred by cached references (in 2 cases)",
        "needs 4 devices of 8 GiB: 3 GiB free",
        "60.55 MiB/s",
        "53 µs",
        "2.47 ms",
        "0.50 s",
        "first mount of filesystem",
        "subvolume snapshot randrw",
        f"./iodiff judge results/r/{CASES[2]}",
        "4 x 2 GiB, loop devices on tmpfs, data raid1, metadata raid1",
        "noatime",
    ):
        assert expected in content, expected


def test_page_links_lead_somewhere_and_ids_are_unique(sample: Path) -> None:
    page = Page(written(sample)["report.html"])
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert len([name for name in page.ids if re.fullmatch(r"case-\d+", name)]) == len(CASES)


def test_page_needs_no_network(sample: Path) -> None:
    page = written(sample)["report.html"]
    assert not re.findall(r"https?://|url\(|@import", page)


def test_page_runs_its_own_script_only(sample: Path) -> None:
    page = written(sample)["report.html"]
    assert Page(page).scripts == 1
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/=]{44}'", page)
    assert HOSTILE not in page
    assert "\x1b" not in page
    assert "\u202e" not in page


def test_hostile_strings_are_shown_not_obeyed(sample: Path) -> None:
    text = "".join(Page(written(sample)["report.html"]).text)
    assert text.count("<script>alert('x')</script>&\"|`\\x1b[31m\\u202e[bold]") >= 10


def test_verdict_is_always_a_word(sample: Path) -> None:
    page = written(sample)["report.html"]
    marks = re.findall(r'class="verdict (\w+)"><span aria-hidden="true">.</span>(\w+)</span>', page)
    assert len(marks) == page.count('class="verdict ') > len(CASES)
    assert all(style == word for style, word in marks)


def test_fio_missing_is_no_table(sample: Path) -> None:
    run = load_run(sample / "host" / "mmap-shared")
    page = next(path for path in write_all(run, sample / "out") if path.suffix == ".html").read_text()
    assert "Completion p99" not in page
    assert "What it ran on" in page


def test_run_without_cases_is_reported(tmp_path: Path) -> None:
    files = written(write_run(tmp_path / "r", []))
    assert json.loads(files["summary.json"])["cases"] == []
    assert ET.fromstring(files["junit.xml"]).get("tests") == "0"
    assert "No case was run" in files["report.md"]
    assert "No case was run" in "".join(Page(files["report.html"]).text)


def test_page_of_a_long_run_stays_under_three_megabytes(tmp_path: Path) -> None:
    cases = [f"extent_state/case-{n}" for n in range(60)]
    check = Check.of("operations", 5, 0)
    for case in cases:
        folder = tmp_path / "r" / "host" / case.partition("/")[2]
        record(folder, manifest(case), long=500)
        judge(folder, verdict_of(case, Verdict.PASS, [check], timeline=timeline(5000)))
    page = written(write_run(tmp_path / "r", cases))["report.html"]
    assert len(page.encode()) < 3_000_000
    assert "467 more in <code>checkpoints.json</code>" in page


def printed(root: Path, width: int = 80) -> str:
    console = Console(width=width, no_color=True, record=True, quiet=False, file=None, force_terminal=False)
    with console.capture() as capture:
        print_summary(load_run(root), console)
    return capture.get()


def test_terminal_has_a_line_a_case_and_the_evidence(sample: Path) -> None:
    out = printed(sample)
    assert re.search(rf"FAIL +{CASES[1]} +1,000 +3,000 +0 +12.1 s", out)
    assert re.search(rf"SKIP +{CASES[3]} +- +- +- +-", out)
    assert "first difference at event 1,234" in out
    assert "    + [4096, 8191] LOCKED" in out
    assert f"  repeat: ./iodiff run --seed 7 {CASES[1]}\n" in out
    assert re.search(r"operations +864,481 compared, 2 wrong, in 3 cases", out)
    assert "17 lost (ring full 17)" in " ".join(out.split())
    assert "the kernel has no raid1c4" in out


def test_terminal_fits_eighty_columns(sample: Path) -> None:
    out = printed(sample)
    assert max(len(line) for line in out.splitlines() if "judge" not in line) <= 80


def test_terminal_is_not_steered_by_a_bundle(tmp_path: Path) -> None:
    judge(tmp_path / "a", verdict_of("s/a", Verdict.UNDECIDED, reasons=(HOSTILE,)))
    out = printed(tmp_path / "a")
    assert "\x1b" not in out
    assert "\\x1b[31m\\u202e[bold]" in out


def test_terminal_names_the_report_only_if_there_is_one(sample: Path) -> None:
    assert "report.html" not in printed(sample, 200)
    written(sample)
    assert str(sample / "report.html") in printed(sample, 200)


def test_long_commands_are_not_cut_into_lines(tmp_path: Path) -> None:
    command = "./iodiff run " + "x" * 100
    judge(tmp_path / "a", verdict_of("s/a", Verdict.UNDECIDED, repeat=command))
    assert f"{command}\n" in printed(tmp_path / "a")


def test_known_issues_are_told_everywhere(sample: Path) -> None:
    """Where a verdict rests on one, nobody may overlook it; the verdict that failed tells its own reasons."""
    issue = "a truncate overtakes a direct write"
    files = written(sample)
    assert json.loads(files["summary.json"])["cases"][0]["known_issues"] == [issue]
    assert f"- `{CASES[0]}`: {issue}" in files["report.md"]
    page = " ".join(" ".join(Page(files["report.html"]).text).split())
    assert "let pass as known issues" in page
    assert f"{CASES[0]}: {issue}" in page
    assert f"{CASES[0]}: {issue}" in " ".join(printed(sample).split())
