# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs over several kernels: the matrix, its holes, and what differs."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from rich.console import Console

from harness.bundle import BundleWriter
from harness.errors import UserError
from harness.verdicts import Check, Verdict
from reports import load_run, print_summary, write_all
from reports.across import EventRow, differences
from reports.conftest import (
    DIFFERENCE,
    HOSTILE,
    judge,
    kernel,
    manifest,
    record,
    timeline,
    verdict_of,
    write_run,
)
from reports.kernels import SIMULATED
from reports.matrix import holes, matrix
from reports.run import CaseResult
from reports.test_reports_files import Page
from reports.totals import add_up, conclusion

A, B, C = "extent_state/contention", "extent_state/many-files", "extent_state/raid1c4"
RELEASES = {"host": "6.18.44", "debian:5.10": "5.10.0-35-amd64", "debian:6.12": "6.12.117+deb12-amd64"}
TCG = {"accelerator": "tcg", "cpus": 2, "memory_bytes": 2 << 30, "boot_s": 11.2}
LOST = "no output for 120 s"


def one(root: Path, name: str, case: str, verdict: Verdict = Verdict.PASS, **more: Any) -> None:
    """Record and judge a case on a kernel; `capture` adds to its manifest, the rest to the verdict."""
    capture = {**manifest(case)["capture"], **more.pop("capture", {})}
    told = {"release": RELEASES[name], "version": "#1 SMP", "source": name}
    folder = root / name.replace(":", "-") / case.partition("/")[2]
    record(folder, manifest(case, kernel=told, capture=capture))
    wrong = 2 if verdict is Verdict.FAIL else 0
    check = Check("operations", verdict, 50, wrong, first_difference=DIFFERENCE if wrong else None)
    judge(folder, verdict_of(case, verdict, [check], **{"events": 10, **more}))


def guest(name: str, cases: Sequence[str], **changes: Any) -> dict[str, Any]:
    return kernel(name, cases, **{"release": RELEASES[name], "guest": TCG, **changes})


@pytest.fixture
def across(tmp_path: Path) -> Path:
    """Three kernels: all PASS; a FAIL and a SKIP; a PASS, then the guest is lost; C is not to run on it."""
    root = tmp_path / "run"
    for case in (A, B, C):
        one(root, "host", case, capture={"bits": {"OLD": 1, "NEW": 2}, "owners": {"INODE": 1}})
    old = {"bits": {"OLD": 1}, "owners": {"INODE": 1, "GONE": 2}}
    one(root, "debian:5.10", A, capture=old, counts={"behaviour: merges eagerly": 3, "trees released": 1})
    one(root, "debian:5.10", B, Verdict.FAIL, capture=old)
    judge(root / "debian-5.10" / "raid1c4", verdict_of(C, Verdict.SKIP, reasons=("no raid1c4",)))
    one(root, "debian:6.12", A, capture={"bits": {}})
    kernels = [
        kernel("host", (A, B, C), release=RELEASES["host"]),
        guest("debian:5.10", (A, B, C)),
        guest("debian:6.12", (A, B), lost=LOST),
    ]
    return write_run(root, (A, B, C), kernels=kernels)


def written(root: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in write_all(load_run(root), root)}


def words(root: Path) -> list[list[str]]:
    return [
        ["hole" if cell.hole else str(cell.verdict) for cell in row.cells] for row in matrix(load_run(root))
    ]


def test_each_case_has_its_verdict_on_each_kernel(across: Path) -> None:
    assert words(across) == [["PASS", "PASS", "PASS"], ["PASS", "FAIL", "hole"], ["PASS", "SKIP", "None"]]


def test_what_a_lost_guest_did_not_record_is_undecided_and_says_why(across: Path) -> None:
    run = load_run(across)
    (hole,) = holes(run)
    assert (hole.kernel.label, hole.cases) == ("debian-6.12", (B,))
    assert LOST in hole.reason
    assert add_up(run.on(hole.kernel)).verdicts == {Verdict.UNDECIDED: 1, Verdict.PASS: 1}
    assert f"The guest of debian:6.12 was lost: {LOST}" in conclusion(run, add_up(run.cases))


def test_totals_tell_missing_from_undecided(across: Path) -> None:
    run = load_run(across)
    assert add_up(run.cases).cases_in_words == "1 FAIL, 1 UNDECIDED (1 without a record), 5 PASS, 1 SKIP"
    assert add_up(run.on(run.kernels[2])).in_short == ["1 PASS", "1 no record"]


@pytest.mark.parametrize(("interrupted", "reason"), [(True, "interrupted"), (False, "left no record")])
def test_hole_without_a_lost_guest_has_another_reason(tmp_path: Path, interrupted: bool, reason: str) -> None:
    one(tmp_path, "host", A)
    kernels = [kernel("host", (A,)), guest("debian:5.10", (A,))]
    run = load_run(write_run(tmp_path, (A,), kernels=kernels, interrupted=interrupted))
    assert reason in holes(run)[0].reason
    assert run.verdict is Verdict.UNDECIDED


def test_a_lost_guest_is_no_pass_even_with_all_records(tmp_path: Path) -> None:
    one(tmp_path, "debian:5.10", A)
    run = load_run(write_run(tmp_path, (A,), kernels=[guest("debian:5.10", (A,), lost=LOST)]))
    assert [case.verdict.verdict for case in run.cases] == [Verdict.PASS]
    assert run.verdict is Verdict.UNDECIDED


def test_kernel_that_never_booted_is_a_column_of_holes(tmp_path: Path) -> None:
    one(tmp_path, "host", A)
    never = guest("debian:5.10", (A,), release=None, guest=None, wall_s=None, lost="never booted")
    write_run(tmp_path, (A,), kernels=[kernel("host", (A,)), never])
    assert words(tmp_path) == [["PASS", "hole"]]
    page = written(tmp_path)["report.html"]
    assert "the guest was lost: never booted" in " ".join(Page(page).text)


@pytest.mark.parametrize("names", [["debian:5.10"], ["host", "debian:5.10"]])
def test_table_of_cases_has_its_holes(tmp_path: Path, names: list[str]) -> None:
    one(tmp_path, names[0], A)
    kernels = [guest(name, (A, B), lost=LOST) for name in names]
    page = written(write_run(tmp_path, (A, B), kernels=kernels))["report.html"]
    assert page.count('<tr data-verdict="PASS">') == 1
    assert page.count("no record</td></tr>") == page.count('<tr data-verdict="UNDECIDED">')
    assert page.count('<tr data-verdict="UNDECIDED">') == 2 * len(names) - 1


def test_release_is_taken_from_the_records_when_the_run_does_not_say(tmp_path: Path) -> None:
    one(tmp_path, "debian:5.10", A)
    run = load_run(write_run(tmp_path, (A,), kernels=[guest("debian:5.10", (A,), release=None)]))
    assert run.kernels[0].release == run.cases[0].kernel.release == RELEASES["debian:5.10"]


def test_bundle_in_the_folder_of_another_kernel_is_refused(across: Path) -> None:
    (across / "debian-5.10" / "contention").rename(across / "debian-6.12" / "moved")
    with pytest.raises(UserError, match=r"recorded on 5\.10.* put it back"):
        load_run(across)


def test_case_in_the_folder_of_no_kernel_is_refused(across: Path) -> None:
    (across / "host" / "contention").rename(across / "contention")
    with pytest.raises(UserError, match=r"in the folder of no kernel of run\.json"):
        load_run(across)


def test_run_of_an_older_iodiff_is_one_clear_line(across: Path) -> None:
    (across / "run.json").write_text('{"format": 1}')
    with pytest.raises(UserError, match="format 1, of an older iodiff") as caught:
        load_run(across)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "kernels", [None, [], ["host"], [{"label": "host"}], [kernel("host", ()), kernel("host", ())]]
)
def test_kernels_that_make_no_sense_are_refused(across: Path, kernels: object) -> None:
    write_run(across, (A,), kernels=kernels)
    with pytest.raises(UserError, match=r"run\.json: .*kernel"):
        load_run(across)


def test_loose_bundles_tell_their_kernels(across: Path) -> None:
    (across / "run.json").unlink()
    run = load_run(across)
    assert [(k.name, k.label, k.release) for k in run.kernels] == [
        ("debian:5.10", "debian-5.10", RELEASES["debian:5.10"]),
        ("unknown", "unknown", "unknown"),
        ("debian:6.12", "debian-6.12", RELEASES["debian:6.12"]),
        ("host", "host", RELEASES["host"]),
    ]
    assert [case.id for case in run.on(run.kernels[1])] == [C], "skipped, so without a manifest"
    assert sum(len(run.on(k)) for k in run.kernels) == len(run.cases) == 7


def test_loose_bundles_of_one_source_and_two_releases_are_two_kernels(tmp_path: Path) -> None:
    for n, release in enumerate(("6.18.1", "6.18.2", "6.18.2")):
        record(tmp_path / str(n), manifest(A, kernel={"release": release, "source": "host"}))
    run = load_run(tmp_path)
    assert [(k.label, k.release) for k in run.kernels] == [("host-1", "6.18.1"), ("host-2", "6.18.2")]
    assert [len(row.cells[1].cases) for row in matrix(run)] == [2]


def test_loose_bundles_of_two_builds_of_one_name_are_two_kernels(tmp_path: Path) -> None:
    for n, source in enumerate(("/a/vmlinuz", "/b/vmlinuz")):
        record(tmp_path / str(n), manifest(A, kernel={"release": "6.18.1", "source": source}))
    assert [k.label for k in load_run(tmp_path).kernels] == ["vmlinuz-1", "vmlinuz-2"]


def test_skipped_loose_case_is_of_the_only_kernel(tmp_path: Path) -> None:
    record(tmp_path / "a", manifest(A))
    judge(tmp_path / "c", verdict_of(C, Verdict.SKIP, reasons=("no raid1c4",)))
    assert [k.label for k in load_run(tmp_path).kernels] == ["host"]


def test_summary_has_kernels_and_a_kernel_for_each_case(across: Path) -> None:
    summary = json.loads(written(across)["summary.json"])
    assert summary["format"] == 2
    old = summary["kernels"][1]
    assert (old["label"], old["name"], old["release"]) == ("debian-5.10", "debian:5.10", "5.10.0-35-amd64")
    assert (old["guest"], old["lost"], summary["kernels"][0]["guest"]) == (TCG, None, None)
    assert old["verdicts"] == {"FAIL": 1, "PASS": 1, "SKIP": 1}
    assert (summary["kernels"][2]["lost"], summary["kernels"][2]["missing"]) == (LOST, 1)
    found = [(case["kernel"], case["id"], case["verdict"]) for case in summary["cases"]]
    assert found[3:] == [
        ("debian-5.10", A, "PASS"),
        ("debian-5.10", B, "FAIL"),
        ("debian-5.10", C, "SKIP"),
        ("debian-6.12", A, "PASS"),
        ("debian-6.12", B, "UNDECIDED"),
    ]
    assert summary["cases"][3]["behaviours"] == ["merges eagerly"]
    assert summary["cases"][-1]["path"] is None


def test_table_of_figures_tells_kernel_and_release(across: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(written(across)["results.csv"])))
    assert {(row["kernel"], row["release"]) for row in rows} == {
        (name.replace(":", "-"), release) for name, release in RELEASES.items()
    }
    assert {row["figure"] for row in rows} & {"trees released", "behaviour: merges eagerly"} == {
        "trees released"
    }


def test_junit_has_a_suite_for_each_kernel(across: Path) -> None:
    root = ET.fromstring(written(across)["junit.xml"])
    suites = root.findall("testsuite")
    assert [suite.get("name") for suite in suites] == [
        f"extent_state on {label}" for label in ("host", "debian-5.10", "debian-6.12")
    ]
    properties = {p.get("name"): p.get("value") for p in suites[2].iter("property")}
    assert properties["kernel"] == "debian:6.12"
    assert properties["kernel.release"] == RELEASES["debian:6.12"]
    assert properties["kernel.accelerator"] == "tcg"
    assert properties["kernel.lost"] == LOST
    counted = [[suite.get(k) for k in ("tests", "failures", "errors", "skipped")] for suite in suites]
    assert counted == [["3", "0", "0", "0"], ["3", "1", "0", "1"], ["2", "0", "1", "0"]]
    names = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
    assert len(set(names)) == len(names)


def test_markdown_sets_kernels_side_by_side(across: Path) -> None:
    report = written(across)["report.md"]
    assert "| Case | host | debian-5.10 | debian-6.12 |" in report
    assert f"| `{B}` | PASS | FAIL | — no record |" in report
    assert f"| `{C}` | PASS | SKIP | not to run |" in report
    assert f"- `{B}`: FAIL on debian-5.10; PASS on host" in report
    assert "- state bit `NEW`: on host; not on debian-5.10" in report
    assert f"guest was lost: {LOST}: `{B}`" in report
    assert SIMULATED in report


def test_page_shows_the_matrix_first_and_links_each_cell(across: Path) -> None:
    page = written(across)["report.html"]
    assert page.index('id="matrix"') < page.index('id="differences"') < page.index('id="run"')
    cells = re.findall(r'<td class="(\w+)"><a href="#(case-\d+)" aria-label="([^"]+)"', page)
    assert ("FAIL", f"FAIL: {B} on debian-5.10") in [(kind, label) for kind, _, label in cells]
    for _, anchor, label in cells:
        name = label.partition(": ")[2]
        assert f'<h3 id="{anchor}-title">{name}</h3>' in page
    assert page.count('<td class="hole">— no record</td>') == 1
    assert page.count('<td class="unplanned">— not to run here</td>') == 1
    parsed = Page(page)
    assert {link.removeprefix("#") for link in parsed.links} <= set(parsed.ids)
    assert len(parsed.ids) == len(set(parsed.ids))


def test_times_of_simulated_processors_come_with_a_warning(across: Path, tmp_path: Path) -> None:
    assert written(across)["report.html"].count(SIMULATED) >= 3
    assert SIMULATED in printed(across)
    one(tmp_path / "kvm", "debian:5.10", A)
    kvm = guest("debian:5.10", (A,), guest={**TCG, "accelerator": "kvm"})
    files = written(write_run(tmp_path / "kvm", (A,), kernels=[kvm]))
    assert not [name for name, content in files.items() if SIMULATED in content]


def test_single_simulated_guest_is_told_as_such(tmp_path: Path) -> None:
    one(tmp_path, "debian:5.10", A)
    files = written(write_run(tmp_path, (A,), kernels=[guest("debian:5.10", (A,))]))
    assert SIMULATED in files["report.html"]
    assert SIMULATED in files["report.md"]
    assert "TCG guest, 2 CPUs, 2 GiB memory, booted in 11.2 s" in files["report.md"]
    assert "TCG simulates" in printed(tmp_path)
    assert 'id="matrix"' not in files["report.html"]


def printed(root: Path, width: int = 400) -> str:
    console = Console(width=width, no_color=True, force_terminal=False)
    with console.capture() as capture:
        print_summary(load_run(root), console)
    return capture.get()


def test_terminal_shows_the_matrix_and_fits(across: Path) -> None:
    out = printed(across, 80)
    assert max(len(line) for line in out.splitlines() if "judge" not in line) <= 80
    assert re.search(r"^many-files +PASS +FAIL +— *$", out, re.MULTILINE)
    assert re.search(r"^raid1c4 +PASS +SKIP +n/a *$", out, re.MULTILINE)
    assert f"1 case without a record on debian-6.12: the guest was lost: {LOST}" in " ".join(out.split())
    assert re.search(r"^debian-6.12 +6.12.117\+deb12-amd64 +TCG +1 PASS, 1 no record", out, re.MULTILINE)


def test_differing_verdicts_name_their_kernels(across: Path) -> None:
    found = differences(load_run(across)).verdicts
    told = [(split.case, [(verdict, labels(cases)) for verdict, cases in split.verdicts]) for split in found]
    assert told == [
        (B, [(Verdict.FAIL, ["debian-5.10"]), (Verdict.PASS, ["host"])]),
        (C, [(Verdict.PASS, ["host"]), (Verdict.SKIP, ["debian-5.10"])]),
    ]


def labels(cases: Sequence[CaseResult]) -> list[str]:
    return [case.kernel.label for case in cases]


def test_features_of_some_kernels_only_are_named(across: Path) -> None:
    found = {
        (f.kind, f.names): ([k.label for k in f.on], [k.label for k in f.not_on])
        for f in differences(load_run(across)).features
    }
    # 6.12 tells no names: it is not said to lack them.
    assert found == {
        ("behaviour", ("merges eagerly",)): (["debian-5.10"], ["host", "debian-6.12"]),
        ("state bit", ("NEW",)): (["host"], ["debian-5.10"]),
        ("tree owner", ("GONE",)): (["debian-5.10"], ["host"]),
    }


def test_one_kernel_has_nothing_to_differ_from(sample: Path) -> None:
    found = differences(load_run(sample))
    assert (found.verdicts, found.features, found.events) == ((), (), ())


def test_events_are_compared_in_cases_that_pass_everywhere(tmp_path: Path) -> None:
    for name, kinds in (("host", [1, 2, 4, 5]), ("debian:5.10", [1, 1, 1, 2, 4, 4, 5])):
        told = {"release": RELEASES[name], "source": name}
        for case, verdict in ((A, Verdict.PASS), (B, Verdict.FAIL if name == "host" else Verdict.PASS)):
            folder = tmp_path / name.replace(":", "-") / case.partition("/")[2]
            writer = BundleWriter(folder)
            writer.add_table("events.npz", {"kind": np.array(kinds, np.uint8)})
            writer.finish(manifest(case, kernel=told))
            judge(folder, verdict_of(case, verdict, [Check("operations", verdict, 5)]))
    kernels = [kernel("host", (A, B)), guest("debian:5.10", (A, B))]
    found = differences(load_run(write_run(tmp_path, (A, B), kernels=kernels)))
    assert found.common == (A,)
    rows = {row.name: row.values for row in found.events}
    assert (rows["set"], rows["clear"], rows["alloc"]) == ((1, 3), (1, 1), (1, 2))
    assert rows["allocated for each operation"] == (0.5, 0.5)
    assert rows["freed for each allocated"] == (1.0, 0.5)


def test_only_what_stands_out_is_marked() -> None:
    assert EventRow("set", (100, 110, 140)).notable == ("", "", "")
    assert EventRow("set", (100, 100, 230)).notable == ("", "", "2.3 times")
    assert EventRow("set", (100, 100, 50)).notable == ("", "", "0.5 times")
    assert EventRow("set", (0, 0, 7)).notable == ("", "", "not everywhere")
    assert EventRow("set", (7, 7, 0)).notable == ("", "", "none here")
    assert EventRow("set", (10, 10, 23, 24)).notable == ("", "", "2.3 times", "2.4 times")
    assert EventRow("ratio", (None, 1.0, 1.0)).notable == ("", "", "")


def test_hostile_kernels_are_shown_not_obeyed(tmp_path: Path) -> None:
    one(tmp_path, "host", A)
    entry = {
        **guest("debian:5.10", (A,), lost=HOSTILE),
        "name": HOSTILE,
        "label": HOSTILE,
        "release": HOSTILE,
    }
    files = written(write_run(tmp_path, (A,), kernels=[kernel("host", (A,)), entry]))
    for content in (*files.values(), printed(tmp_path)):
        assert "\x1b" not in content
    Page(files["report.html"])
    assert HOSTILE not in files["report.html"]
    rows = [line for line in files["report.md"].splitlines() if line.startswith(f"| `{A}`")]
    assert rows == [f"| `{A}` | PASS | — no record |"]
    ET.fromstring(files["junit.xml"])


def test_console_of_a_guest_is_shown_from_its_end(tmp_path: Path) -> None:
    writer = BundleWriter(tmp_path / "host" / "contention")
    writer.add_text("console.txt", "".join(f"line {n}\n" for n in range(1000)))
    writer.finish(manifest(A))
    verdict = verdict_of(A, Verdict.PASS, [Check("operations", Verdict.PASS, 5)])
    judge(tmp_path / "host" / "contention", verdict)
    page = written(write_run(tmp_path, (A,)))["report.html"]
    assert "line 999" in page
    assert "line 0\n" not in page
    assert "700 before these in <code>console.txt</code>" in page


def test_page_of_five_kernels_stays_under_three_megabytes(tmp_path: Path) -> None:
    cases = [f"extent_state/case-{n}" for n in range(30)]
    names = [f"debian:{n}" for n in range(5)]
    series = timeline(2000)
    for name in names:
        for case in cases:
            folder = tmp_path / name.replace(":", "-") / case.partition("/")[2]
            record(folder, manifest(case, kernel={"release": name, "source": name}), long=100)
            checks = [Check(f"check {n}", Verdict.PASS, 5, detail="so many lines") for n in range(7)]
            judge(folder, verdict_of(case, Verdict.PASS, checks, timeline=series))
    kernels = [kernel(name, cases, release=name, guest=TCG) for name in names]
    page = written(write_run(tmp_path, cases, kernels=kernels))["report.html"]
    assert len(page.encode()) < 3_000_000
    assert page.count("<section ") == 150
