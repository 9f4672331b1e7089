# SPDX-License-Identifier: GPL-2.0-or-later
"""What recorded reads tell of a kernel: for what it is, against what it is not."""

from __future__ import annotations

import json
import shutil
from dataclasses import fields, replace
from pathlib import Path

import pytest

from harness.bundle import Bundle, BundleWriter
from harness.direct_io.record import load_layout, load_reads
from harness.direct_io.seen import seen_by_read
from harness.judge.behaviour_fields import other_values, said_of
from harness.judge.direct_io_evidence import MOST_READS, bundle_evidence, evidence_of
from harness.judge.verdict import judge_bundle
from harness.verdicts import CaseVerdict, Evidence
from reference.direct_io.mainline import Behaviour

DATA = Path(__file__).parents[2] / "suites/data/direct_io/host"
KERNEL = Behaviour.linux_6_18


def told(name: str, behaviour: Behaviour) -> dict[str, Evidence]:
    bundle = Bundle.open(DATA / name)
    layout = load_layout(bundle)
    reads, events = load_reads(bundle)
    seen = seen_by_read(layout, reads, events)
    return {one.field: one for one in evidence_of(layout, reads, seen, behaviour)}


def test_a_record_speaks_for_what_the_kernel_is() -> None:
    found = told("damaged-raid1c3", KERNEL)
    assert list(found) == [field.name for field in fields(Behaviour)]
    assert {name: one.value for name, one in found.items()} == {
        field.name: getattr(KERNEL, field.name) for field in fields(Behaviour)
    }
    assert all(one.against == 0 for one in found.values())
    for name in ("read_limit", "repairs_in_ring", "repairs_all", "mirrored_cut"):
        assert 10 < found[name].decided < found[name].looked_at == 250


@pytest.mark.parametrize("name", ["read_limit", "repairs_in_ring", "repairs_all", "mirrored_cut"])
def test_a_record_speaks_against_what_the_kernel_is_not(name: str) -> None:
    (other, *_) = other_values(KERNEL, name)
    right = told("damaged-raid1c3", KERNEL)[name].decided
    wrong = told("damaged-raid1c3", replace(KERNEL, **{name: other}))[name]
    assert (wrong.value, wrong.decided, wrong.against) == (other, 0, right)


def test_what_no_read_puts_to_the_test_is_not_decided() -> None:
    """Nothing is damaged there, and nobody reads with RWF_NOWAIT."""
    found = told("dup", KERNEL)
    assert found["repairs_in_ring"].decided == found["repairs_all"].decided == 0
    assert found["repairs_all"].looked_at == MOST_READS


def test_it_is_kept_with_the_verdict() -> None:
    bundle = Bundle.open(DATA / "long")
    verdict = judge_bundle(bundle)
    assert verdict.evidence == bundle_evidence(bundle) != ()
    assert CaseVerdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict


def test_lost_events_tell_nothing(tmp_path: Path) -> None:
    shutil.copytree(DATA / "long", tmp_path / "spoilt")
    facts = json.loads((tmp_path / "spoilt/bundle.json").read_text())
    (tmp_path / "spoilt/bundle.json").unlink()
    facts["capture"] |= {"lost": 1, "lost_reasons": {"lost_ring": 1}}
    kept = {key: value for key, value in facts.items() if key not in ("format", "files", "digest")}
    assert bundle_evidence(BundleWriter.of(tmp_path / "spoilt").finish(kept)) == ()


def test_every_field_is_explained() -> None:
    said = said_of(Behaviour)
    assert list(said) == [field.name for field in fields(Behaviour)]
    assert all(len(words.split()) > 8 and "`" not in words for words in said.values())


def test_fields_that_no_kernel_has_together_come_to_an_end() -> None:
    """5.10's repair of compressed extents, page by page, goes round for ever where copies are in a ring."""
    bundle = Bundle.open(DATA.parent / "faults/missing-raid1")
    found = {one.field: one for one in bundle_evidence(bundle)}
    assert list(found) == [field.name for field in fields(Behaviour)]
    assert all(one.against == 0 for one in found.values())
