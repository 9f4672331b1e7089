# SPDX-License-Identifier: GPL-2.0-or-later
"""Each defect, on alone, is found by checks that know nothing of it; the corrected versions show none."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest

from reference.extent_map import DEFECTS, Behaviour, Defect
from reference.extent_map.hunt import hunt_calls, shrink_calls, try_calls
from reference.extent_map.programs import faults, hunt_programs, scenario
from reference.machine import explore

CORRECTED = (Behaviour.corrected_radix, Behaviour.corrected_rbtree)
POSTED = (Behaviour.as_posted_radix, Behaviour.as_posted_rbtree)
NEED_TASKS = {"split_strands_waiters", "merge_strands_waiters", "wait_goes_back"}
by_version = pytest.mark.parametrize("behaviour", CORRECTED, ids=lambda behaviour: behaviour.structure)


def with_one_defect() -> Iterator[object]:
    for defect in DEFECTS:
        for line, corrected in zip((defect.radix_line, defect.rbtree_line), CORRECTED, strict=True):
            if line is not None:
                yield pytest.param(defect, corrected, id=f"{corrected.structure}-{defect.name}")


@pytest.mark.parametrize(("defect", "corrected"), list(with_one_defect()))
def test_the_checks_find_the_defect(defect: Defect, corrected: Behaviour) -> None:
    behaviour = corrected.having(defect.name)
    rng = random.Random(1)
    if defect.name in NEED_TASKS:
        race = hunt_programs(behaviour, rng, 3000)
        assert race is not None
        assert race.found.finding.kind == "LostWakeUp"
        assert not faults(explore(scenario(corrected, race.program)))
        return
    catch = hunt_calls(behaviour, rng, 4000)
    assert catch is not None
    assert len(catch.calls) <= 6
    assert shrink_calls(behaviour, catch) == catch
    assert try_calls(corrected, catch.calls) is None


@by_version
def test_the_corrected_version_shows_nothing_to_single_calls(behaviour: Behaviour) -> None:
    assert hunt_calls(behaviour, random.Random(2), 1500) is None


@by_version
def test_the_corrected_version_shows_nothing_to_several_tasks(behaviour: Behaviour) -> None:
    assert hunt_programs(behaviour, random.Random(2), 1500) is None


@pytest.mark.parametrize("behaviour", POSTED, ids=lambda behaviour: behaviour.structure)
def test_the_posted_version_shows_something_at_once(behaviour: Behaviour) -> None:
    assert hunt_calls(behaviour, random.Random(1), 20) is not None


def test_the_catalogue_is_complete() -> None:
    assert len(DEFECTS) >= 12
    for defect in DEFECTS:
        assert defect.radix_line or defect.rbtree_line
        assert re.fullmatch(r"[a-z_]+(, [a-z_]+)*", defect.function)
        for text in (defect.what, defect.consequence):
            assert text
            assert not text.endswith(".")


def test_which_version_has_which() -> None:
    fixed = {defect.name for defect in DEFECTS if defect.fixed_by_second}
    brought_in = {defect.name for defect in DEFECTS if defect.fixed_by_second is None}
    assert brought_in == {"failed_add_keeps_lock"}
    for name in fixed:
        assert getattr(Behaviour.as_posted_radix, name)
        assert not getattr(Behaviour.as_posted_rbtree, name)
    names = [defect.name for defect in DEFECTS]
    assert Behaviour.as_posted_rbtree.without(*names) == Behaviour.corrected_rbtree
