# SPDX-License-Identifier: GPL-2.0-or-later
"""What the command line returns: each verdict its code, each mistake one line, code 3 and nothing made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.bundle import BundleWriter
from harness.errors import EXIT_FAIL, EXIT_OK, EXIT_UNDECIDED
from suites.meta.commands import complaint, iodiff
from suites.meta.simulated import CASE, write_bundle


@pytest.fixture
def good(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "run" / "good")
    return tmp_path / "run" / "good"


def everything_below(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_record_that_agrees_is_a_pass(good: Path) -> None:
    done = iodiff("judge", good)
    assert (done.returncode, done.stderr) == (EXIT_OK, "")
    assert done.stdout.startswith(f"PASS {CASE}  ")
    assert json.loads((good / "verdict.json").read_text())["verdict"] == "PASS"


def test_a_record_that_differs_fails_with_the_difference(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bad", differs=True)
    done = iodiff("judge", tmp_path / "bad")
    assert (done.returncode, done.stderr) == (EXIT_FAIL, "")
    assert done.stdout.startswith(f"FAIL {CASE}  ")
    assert "first difference of " in done.stdout


@pytest.mark.parametrize("facts", [{"lost": 4}, {"error": "fio died"}, {"dmesg_overrun": 1}])
def test_what_lacks_evidence_is_undecided(tmp_path: Path, facts: dict[str, object]) -> None:
    write_bundle(tmp_path / "lacking", **facts)  # type: ignore[arg-type]
    done = iodiff("judge", tmp_path / "lacking")
    assert (done.returncode, done.stderr) == (EXIT_UNDECIDED, "")
    assert done.stdout.startswith(f"UNDECIDED {CASE}  ")


def test_wrong_data_fails(tmp_path: Path) -> None:
    write_bundle(tmp_path / "wrong", data_mismatch="file: byte 7 is 0x00 instead of 0x01")
    done = iodiff("judge", tmp_path / "wrong")
    assert done.returncode == EXIT_FAIL
    assert "byte 7 is 0x00" in done.stdout


def test_the_gravest_of_many_decides_and_the_report_agrees(good: Path) -> None:
    run = good.parent
    write_bundle(run / "lacking", lost=1)
    assert iodiff("judge", run).returncode == EXIT_UNDECIDED
    assert iodiff("report", run).returncode == EXIT_UNDECIDED
    write_bundle(run / "bad", differs=True)
    assert iodiff("judge", run).returncode == EXIT_FAIL
    assert iodiff("report", run).returncode == EXIT_FAIL
    assert json.loads((run / "summary.json").read_text())["cases"]


def test_verdicts_as_json_are_nothing_but_json(good: Path) -> None:
    before = everything_below(good)
    done = iodiff("judge", "--json", "--no-save", good)
    assert (done.returncode, done.stderr) == (EXIT_OK, "")
    assert [verdict["case"] for verdict in json.loads(done.stdout)] == [CASE]
    assert everything_below(good) == before


def test_recorded_but_not_judged_is_no_pass(good: Path) -> None:
    assert iodiff("report", good.parent).returncode == EXIT_UNDECIDED


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("frobnicate",), "frobnicate"),
        (("run", "--frobnicate"), "--frobnicate"),
        (("run", "--seed", "seven"), "--seed"),
        (("run", "extent_state/punchhole"), "did you mean extent_state/punch-hole"),
        (("run", "wholly different"), "unknown case 'wholly different': see ./iodiff list"),
        (("run", "--suite", "extent-state"), "unknown suite 'extent-state': did you mean extent_state?"),
        (("run", "--group", "quik"), "unknown group 'quik': did you mean quick?"),
        (("run", "--kernel", "nonsense"), "unknown kernel 'nonsense'"),
        (("run", "--kernel", "debian:6.21"), "did you mean debian:6.1"),
        (("run", "--guest-memory", "1"), "--guest-memory"),
        (("guest", "--kernel", "host"), "standard input is none"),
        (("run", "--capture", "nonsense"), "unknown capture 'nonsense': one of bpf, tracefs"),
        (("bisect", "debian:5.10", "debian:6.1", "nonsense"), "unknown case 'nonsense'"),
        (("bisect", "debian:6.1", "debian:6.1", "extent_state/mmap"), "a kernel is given twice"),
        (("compare", "nowhere", "empty"), "nowhere: no such folder"),
        (("history",), "results: no such folder"),
        (("judge",), "BUNDLE"),
        (("judge", "nowhere"), "nowhere: no complete bundle there"),
        (("judge", "empty"), "empty: no complete bundle there"),
        (("report",), "RUN"),
        (("report", "nowhere"), "nowhere: no such folder"),
        (("report", "empty"), "empty: neither a run nor a case"),
        (("clean", "--work", "empty"), "not a work directory: left alone"),
        (("clean", "empty"), "unexpected extra argument"),
    ],
)
def test_bad_usage_is_one_line_and_makes_nothing(
    tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    (tmp_path / "empty").mkdir()
    assert says in complaint(iodiff(*arguments, cwd=tmp_path))
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


def remove_a_file(bundle: Path) -> None:
    (bundle / "events.npz").unlink()


def truncate_a_file(bundle: Path) -> None:
    (bundle / "events.npz").write_bytes((bundle / "events.npz").read_bytes()[:-1])


def edit_a_file(bundle: Path) -> None:
    data = bytearray((bundle / "events.npz").read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / "events.npz").write_bytes(data)


def add_a_file(bundle: Path) -> None:
    (bundle / "notes.txt").write_text("mine")


def remove_the_manifest(bundle: Path) -> None:
    (bundle / "bundle.json").unlink()


def truncate_the_manifest(bundle: Path) -> None:
    (bundle / "bundle.json").write_text((bundle / "bundle.json").read_text()[:100])


def edit_the_manifest(bundle: Path) -> None:
    text = (bundle / "bundle.json").read_text()
    (bundle / "bundle.json").write_text(text.replace('"seed": 3', '"seed": 4'))


def make_the_manifest_binary(bundle: Path) -> None:
    (bundle / "bundle.json").write_bytes(b"\xff\xfe\x00")


def make_the_manifest_a_list(bundle: Path) -> None:
    (bundle / "bundle.json").write_text("[]")


def write_another_format(bundle: Path) -> None:
    manifest = json.loads((bundle / "bundle.json").read_text())
    (bundle / "bundle.json").write_text(json.dumps({**manifest, "format": 7}))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (remove_a_file, "events.npz: No such file or directory: the bundle is incomplete"),
        (truncate_a_file, "the bundle is damaged"),
        (edit_a_file, "events.npz: changed after it was recorded"),
        (add_a_file, "notes.txt is not part of the bundle"),
        (remove_the_manifest, "no complete bundle there"),
        (truncate_the_manifest, "bundle.json: cannot be read"),
        (edit_the_manifest, "bundle.json: changed after it was recorded"),
        (make_the_manifest_binary, "bundle.json: cannot be read"),
        (make_the_manifest_a_list, "bundle format 'list', this iodiff reads 1"),
        (write_another_format, "bundle format 7, this iodiff reads 1"),
    ],
)
def test_a_bundle_that_is_not_as_recorded_is_refused(
    good: Path, spoil: Callable[[Path], None], says: str
) -> None:
    spoil(good)
    before = everything_below(good)
    assert says in complaint(iodiff("judge", good))
    assert everything_below(good) == before


@pytest.mark.parametrize("spoil", [truncate_a_file, edit_a_file, add_a_file, edit_the_manifest])
def test_no_report_rests_on_a_bundle_that_is_refused(good: Path, spoil: Callable[[Path], None]) -> None:
    spoil(good)
    before = everything_below(good.parent)
    complaint(iodiff("report", good.parent))
    assert everything_below(good.parent) == before


def test_a_run_whose_guest_was_lost_is_undecided(good: Path) -> None:
    assert iodiff("judge", good).returncode == EXIT_OK
    kernel = {"name": "host", "label": "good", "cases": [CASE], "lost": None}
    for lost, code in ((None, EXIT_OK), ("no output for 120 s", EXIT_UNDECIDED)):
        facts = {"format": 2, "run_id": "x", "kernels": [{**kernel, "lost": lost}]}
        (good.parent / "run.json").write_text(json.dumps(facts))
        assert iodiff("report", good.parent).returncode == code


def test_a_bug_has_its_traceback_and_not_the_code_of_a_verdict(tmp_path: Path) -> None:
    # Complete by its digests, but nothing that any iodiff records.
    BundleWriter(tmp_path / "odd").finish({"run_id": "x"})
    done = iodiff("judge", tmp_path / "odd")
    assert done.returncode == EXIT_UNDECIDED
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("iodiff: this is a bug in iodiff")


def test_several_runs_at_once_are_not_reported_as_one(good: Path, tmp_path: Path) -> None:
    (good.parent / "run.json").write_text('{"format": 1}')
    assert "holds several runs" in complaint(iodiff("report", tmp_path))


def test_a_bundle_stays_as_it_was_recorded(good: Path) -> None:
    before = everything_below(good)
    assert "is a bundle, which must not change" in complaint(iodiff("report", good))
    assert everything_below(good) == before
