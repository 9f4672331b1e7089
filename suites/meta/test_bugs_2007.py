# SPDX-License-Identifier: GPL-2.0-or-later
"""The recorded catalogue, suites/data/bugs-2007.json: true, complete, and what docs/bugs-2007.md shows.

When a hunt, a defect or a check has changed, make both anew::

    ./iodiff bugs --markdown docs/bugs-2007.md --json > suites/data/bugs-2007.json

BUGS_HUNTED=all hunts all defects anew, and the corrected versions, as CI does; else some of the defects.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from harness.bugs import Catalogue, all_is_well, catalogue, random_of
from reference.bugs import ALL_DEFECTS, STRUCTURES, Structure, clean, corrected, having, reproducer_of
from reference.extent_map import Defect
from reports.bugs import bugs_markdown
from suites.meta.tree import ROOT

RECORDED: Catalogue = json.loads((ROOT / "suites" / "data" / "bugs-2007.json").read_text())
ROWS: dict[str, dict[str, Any]] = {row["name"]: row for row in RECORDED["defects"]}
ALL = os.environ.get("BUGS_HUNTED") == "all"
HUNTED = ALL_DEFECTS if ALL else ALL_DEFECTS[::9]
REMAKE = "make it anew, as suites/meta/test_bugs_2007.py says"

each_defect = pytest.mark.parametrize("defect", ALL_DEFECTS, ids=lambda defect: defect.name)


def test_all_defects_are_recorded_and_caught() -> None:
    assert list(ROWS) == [defect.name for defect in ALL_DEFECTS], REMAKE
    assert all_is_well(RECORDED)
    assert [version["found"] for version in RECORDED["corrected"]] == [[], []]


def test_the_document_shows_what_is_recorded() -> None:
    assert (ROOT / "docs" / "bugs-2007.md").read_text() == bugs_markdown(RECORDED), REMAKE


@each_defect
def test_a_reproducer_shows_the_defect_and_nothing_without_it(defect: Defect) -> None:
    catches: dict[Structure, dict[str, Any]] = ROWS[defect.name]["catches"]
    lines: list[tuple[Structure, int | None]] = [
        ("radix", defect.radix_line),
        ("rbtree", defect.rbtree_line),
    ]
    assert set(catches) == {structure for structure, line in lines if line is not None}
    for structure, catch in catches.items():
        reproducer = reproducer_of(catch["way"], catch["data"])
        version = having(structure, defect)
        assert str(reproducer.replay(version)) == catch["finding"], REMAKE
        assert reproducer.lines(version) == catch["reproducer"], REMAKE
        assert reproducer.replay(corrected(structure, defect)) is None


@each_defect
def test_a_reproducer_can_be_read_in_a_minute(defect: Defect) -> None:
    for catch in ROWS[defect.name]["catches"].values():
        assert len(catch["reproducer"]) <= 20
        assert max(map(len, catch["reproducer"])) <= 200


@pytest.mark.parametrize("defect", HUNTED, ids=lambda defect: defect.name)
def test_hunting_anew_comes_to_the_same(defect: Defect) -> None:
    found = catalogue(RECORDED["seed"], defect.name)
    assert json.loads(json.dumps(found["defects"])) == [ROWS[defect.name]], REMAKE


@pytest.mark.skipif(not ALL, reason="BUGS_HUNTED=all hunts in the corrected versions, too")
@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_corrected_versions_are_still_clean(structure: Structure) -> None:
    assert clean(structure, random_of(RECORDED["seed"])) == []
