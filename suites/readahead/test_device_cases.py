# SPDX-License-Identifier: GPL-2.0-or-later
"""The cases that read trees from devices, on the running kernel, on evidence enough to mean it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.bundle import Bundle, BundleWriter
from harness.cases import Case
from harness.judge.verdict import judge_bundle
from harness.kernels import HOST, resolve
from harness.readahead.excerpt import load_excerpt
from harness.readahead.reads import load_runs, save_runs
from harness.run import Observer, RunPlan, run_cases
from harness.verdicts import CaseVerdict, Verdict
from suites.readahead.device_cases import CASES

pytestmark = pytest.mark.live

READS = 30_000
BLOCKS = 300
ZONES = 2


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run all cases once, and return the folder of their bundles."""
    folder = tmp_path_factory.mktemp("readahead")
    run_cases(RunPlan(CASES, [resolve(HOST)], folder / "out", folder / "work", seed=20261121), Observer())
    return folder / "out" / "host"


def kept(out: Path, case: Case) -> CaseVerdict:
    file = out / case.folder / "verdict.json"
    return CaseVerdict.from_json(json.loads(file.read_text()))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_what_is_read_is_what_is_in_the_trees(case: Case, out: Path) -> None:
    verdict = kept(out, case)
    assert verdict.verdict is Verdict.PASS, verdict
    assert all(check.compared > 0 for check in verdict.checks)
    names = {check.name for check in verdict.checks}
    assert names == {
        *("events recorded", "blocks read", "read once", "copies read", "parents first", "kernel log")
    }


@pytest.mark.timeout(600)
def test_the_evidence_is_large(out: Path) -> None:
    assert sum(kept(out, case).events for case in CASES) >= READS


@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_trees_are_large_and_lie_in_several_zones(case: Case, out: Path) -> None:
    trees = load_excerpt(Bundle.open(out / case.folder))
    assert len(trees.nodes) >= BLOCKS
    assert len({group.start for group in trees.groups.values() if group}) >= ZONES


@pytest.mark.timeout(600)
def test_methods_take_turns(out: Path) -> None:
    runs = load_runs(Bundle.open(out / "readahead-raid1"))
    walk, linux, seed = "walk", "readahead linux_5_10", "readahead seed_2011"
    assert [run.method for run in runs] == [walk, linux, seed, linux, seed, walk]


@pytest.mark.timeout(600)
def test_a_block_that_is_left_out_of_the_record_is_missed(out: Path, tmp_path: Path) -> None:
    """The bundle is judged again without one read; so it is the record that is judged."""
    bundle = Bundle.open(out / "readahead-raid1")
    runs = load_runs(bundle)
    assert judge_bundle(bundle).verdict is Verdict.PASS
    spoilt = tmp_path / "spoilt"
    spoilt.mkdir()
    for name in bundle.manifest["files"]:
        if not name.startswith("readahead_r"):
            (spoilt / name).write_bytes((bundle.path / name).read_bytes())
    writer = BundleWriter.of(spoilt)
    save_runs(writer, [replace(runs[0], reads=runs[0].reads[:-1]), *runs[1:]])
    facts = {key: value for key, value in bundle.manifest.items() if key not in ("format", "files", "digest")}
    verdict = judge_bundle(writer.finish(facts))
    assert [check.name for check in verdict.checks if check.wrong] == ["blocks read"]
