# SPDX-License-Identifier: GPL-2.0-or-later
"""What cases do to devices is what they say."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from harness.metadata import FileSystem, MetadataError, tree_blocks
from harness.metadata.testing import GENERATION, ImageBuilder
from harness.record.experiment import LiveExperiment
from reference.ondisk import BlockError, BlockGroupFlag, TreeId, check_block
from suites.readahead.guest_damage import bad_sums, one_missing, other_generations


def _experiment(devices: list[Path], seed: int = 1) -> LiveExperiment:
    stand_in = SimpleNamespace(rng=random.Random(seed), filesystem=SimpleNamespace(devices=devices))
    return cast(LiveExperiment, stand_in)


@pytest.fixture
def devices(tmp_path: Path) -> list[Path]:
    """Return the images of two mirrors whose extent tree has 20 leaves."""
    return _made(tmp_path)


def _made(folder: Path) -> list[Path]:
    return ImageBuilder(BlockGroupFlag.RAID1, devices=2, leaves=20).save(folder)


def _bad_copies(filesystem: FileSystem, bytenr: int) -> int:
    bad = 0
    for mirror in filesystem.copies.mirrors(bytenr):
        try:
            check_block(filesystem.copies.read(bytenr, mirror), bytenr, filesystem.rules)
        except BlockError:
            bad += 1
    return bad


def test_copies_are_spoilt_but_never_of_the_root(devices: list[Path], tmp_path: Path) -> None:
    with FileSystem(devices) as filesystem:
        root, *leaves = [node.bytenr for node in tree_blocks(filesystem, filesystem.root(TreeId.EXTENT))]
    counts = set()
    for seed in range(8):
        _made(tmp_path)
        assert bad_sums(_experiment(devices, seed), [TreeId.EXTENT]) == ()
        with FileSystem(devices) as filesystem:
            counts |= {_bad_copies(filesystem, leaf) for leaf in leaves}
            assert _bad_copies(filesystem, root) == 0
    assert counts == {0, 1, 2}


def test_blocks_of_another_generation_are_good_by_themselves(devices: list[Path]) -> None:
    with FileSystem(devices) as filesystem:
        root = filesystem.root(TreeId.EXTENT)
        leaves = [node.bytenr for node in tree_blocks(filesystem, root)][1:]
    other_generations(_experiment(devices), [TreeId.EXTENT])
    with FileSystem(devices) as filesystem:
        found = [filesystem.node(leaf).generation for leaf in leaves]
        assert {GENERATION, GENERATION - 1} == set(found)
        assert not any(_bad_copies(filesystem, leaf) for leaf in leaves)
        with pytest.raises(MetadataError, match="the tree is damaged"):
            list(tree_blocks(filesystem, root))


def test_the_device_to_mount_by_is_not_the_missing_one(devices: list[Path]) -> None:
    assert {one_missing(_experiment(devices, seed), []) for seed in range(8)} == {(devices[1],)}
