# SPDX-License-Identifier: GPL-2.0-or-later
"""Each defect of the page half is found by itself, and the corrected code shows none."""

from __future__ import annotations

import random

import pytest

from reference.extent_map.behaviour import Behaviour
from reference.extent_map.defects import Defect
from reference.extent_map.page_behaviour import PAGE_DEFECTS, PageBehaviour
from reference.extent_map.page_catalogue import WHERE, find, random_trial
from reference.extent_map.page_scenes import DIRECT_SCENES, SCENES, DirectScene, Scene, random_scene
from reference.machine import Finding, explore, random_runs

TREES = {"rbtree": Behaviour.corrected_rbtree, "radix": Behaviour.corrected_radix}


@pytest.mark.parametrize("defect", PAGE_DEFECTS, ids=lambda defect: defect.name)
def test_each_defect_is_found(defect: Defect) -> None:
    evidence = find(defect, random.Random)
    assert evidence is not None
    assert evidence.reproducer


def test_what_is_known_of_where_defects_show_is_of_defects() -> None:
    assert set(WHERE) == {defect.name for defect in PAGE_DEFECTS}


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("trees", TREES.values(), ids=TREES)
def test_hunting_the_corrected_code_finds_nothing(trees: Behaviour, seed: int) -> None:
    setting, failure = random_trial(random.Random(seed), trees, PageBehaviour.corrected)
    assert failure is None, setting


@pytest.mark.parametrize("scene", [*SCENES, *DIRECT_SCENES], ids=lambda scene: scene.name)
def test_no_interleaving_of_a_scene_shows_anything_in_the_corrected_code(scene: Scene | DirectScene) -> None:
    result = explore(scene.scenario(Behaviour.corrected_rbtree, PageBehaviour.corrected))
    assert [str(found.finding) for found in result.found] == []
    assert result.complete


@pytest.mark.parametrize("scene", [*SCENES, *DIRECT_SCENES], ids=lambda scene: scene.name)
def test_nor_does_a_random_one_over_radix_trees(scene: Scene | DirectScene) -> None:
    scenario = scene.scenario(Behaviour.corrected_radix, PageBehaviour.corrected)
    assert random_runs(scenario, random.Random(1), 40).found == []


@pytest.mark.parametrize("seed", range(30))
def test_nor_does_a_random_scene_of_three_tasks(seed: int) -> None:
    scene = random_scene(random.Random(seed))
    trees = Behaviour.corrected_radix if seed % 2 else Behaviour.corrected_rbtree
    scenario = scene.scenario(trees, PageBehaviour.corrected)
    assert random_runs(scenario, random.Random(seed), 5).found == []


@pytest.mark.parametrize(
    "posted", [PageBehaviour.as_posted_radix, PageBehaviour.as_posted_rbtree], ids=["radix", "rbtree"]
)
def test_the_scenes_show_plenty_in_the_code_as_posted(posted: PageBehaviour) -> None:
    shown = 0
    for scene in SCENES:
        scenario = scene.scenario(Behaviour.corrected_rbtree, posted)
        try:
            shown += bool(random_runs(scenario, random.Random(1), 100).found)
        except Finding:
            # While the scene was being set: one task is enough.
            shown += 1
    assert shown >= len(SCENES) // 2


def test_versions_have_the_defects_of_their_lines() -> None:
    for defect in PAGE_DEFECTS:
        assert getattr(PageBehaviour.as_posted_radix, defect.name) is (defect.radix_line is not None)
        assert getattr(PageBehaviour.as_posted_rbtree, defect.name) is (defect.rbtree_line is not None)
        assert getattr(PageBehaviour.corrected, defect.name) is False
        assert defect.radix_line is not None or defect.rbtree_line is not None
