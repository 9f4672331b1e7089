# SPDX-License-Identifier: GPL-2.0-or-later
"""The thread's claim "passing fsx-linux", for the corrected page cache and for both versions as posted.

`PAGE_CACHE_VOLUME` is the number of operations on the corrected code: 200,000 in CI.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping

import pytest

from reference.extent_map.behaviour import Behaviour
from reference.extent_map.page_behaviour import PageBehaviour
from reference.extent_map.page_file import Completions, Faults, PageCacheFile, Setting
from reference.extent_map.page_hunt import hunt
from reference.fsx import ByteFile, Kind, Mix, Operation, check, generate
from reference.machine import Finding

VOLUME = int(os.environ.get("PAGE_CACHE_VOLUME", "9000"))
"""Operations on the corrected code, over all of its settings."""
A_FILE = 10_000
"""After so many operations another file begins."""
BLOCK_SIZES = (4096, 2048, 1024)
TREES = {"rbtree": Behaviour.corrected_rbtree, "radix": Behaviour.corrected_radix}
ALL = dict.fromkeys(PageCacheFile.KINDS, 6) | {Kind.WRITE: 14, Kind.REMOUNT: 1}
CACHED = {Kind.READ: 10, Kind.MAP_READ: 5, Kind.WRITE: 12, Kind.MAP_WRITE: 8, Kind.TRUNCATE: 6}
"""What fsx-linux of 2007 does, whose file never leaves the cache of a machine that has enough memory."""


def operations(seed: int, weights: Mapping[Kind, int], count: int) -> Iterator[Operation]:
    model = ByteFile()
    mix = Mix(weights=weights, max_size=64 << 10, max_length=16 << 10)
    source = generate(mix, random.Random(seed), model)
    for _ in range(count):
        operation = next(source)
        model.execute(operation)
        yield operation


def first_difference(file: PageCacheFile, steps: Iterator[Operation]) -> str | None:
    model = ByteFile()
    for number, operation in enumerate(steps, 1):
        try:
            found = file.execute(operation)
        except Finding as finding:
            return f"{number}: {finding}"
        if found != model.execute(operation):
            return f"{number}: {operation}"
    return None


@pytest.mark.parametrize("completions", Completions)
@pytest.mark.parametrize("block_size", BLOCK_SIZES)
@pytest.mark.parametrize("trees", TREES.values(), ids=TREES)
def test_the_corrected_code_passes_fsx(trees: Behaviour, block_size: int, completions: Completions) -> None:
    left = -(-VOLUME // (len(TREES) * len(BLOCK_SIZES) * len(Completions)))
    seed = block_size
    while left > 0:
        count = min(left, A_FILE)
        file = PageCacheFile(Setting(trees, block_size=block_size, blocks=300, completions=completions))
        assert check(file, ByteFile(), operations(seed, ALL, count)) is None, f"seed {seed}"
        left, seed = left - count, seed + 1


def test_the_second_version_as_posted_passes_fsx_as_long_as_nothing_leaves_the_cache() -> None:
    setting = Setting(Behaviour.as_posted_rbtree, PageBehaviour.as_posted_rbtree, blocks=300)
    assert first_difference(PageCacheFile(setting), operations(1, CACHED, 3000)) is None


def test_but_the_disk_does_not_have_what_the_cache_has() -> None:
    setting = Setting(Behaviour.as_posted_rbtree, PageBehaviour.as_posted_rbtree, blocks=300)
    failure = hunt(setting, operations(1, CACHED, 300))
    assert failure is not None
    assert "after remount" in str(failure)


@pytest.mark.parametrize("block_size", [2048, 1024])
def test_and_it_does_not_pass_with_blocks_smaller_than_a_page(block_size: int) -> None:
    setting = Setting(Behaviour.as_posted_rbtree, PageBehaviour.as_posted_rbtree, block_size, blocks=300)
    assert first_difference(PageCacheFile(setting), operations(1, CACHED, 300)) is not None


@pytest.mark.parametrize("block_size", [4096, 1024])
def test_the_first_version_as_posted_does_not_pass_at_all(block_size: int) -> None:
    setting = Setting(Behaviour.as_posted_radix, PageBehaviour.as_posted_radix, block_size, blocks=300)
    assert first_difference(PageCacheFile(setting), operations(1, CACHED, 300)) is not None


def test_a_fault_is_told_and_nothing_else_is_lost() -> None:
    steps = tuple(operations(7, ALL, 60))
    for number in range(1, 9):
        for faults in (
            Faults(read=number),
            Faults(write=number),
            Faults(lookup=number),
            Faults(mapping=number),
        ):
            assert hunt(Setting(block_size=1024, blocks=300, faults=faults), steps) is None, faults


def test_a_full_disk_is_told_and_nothing_else_is_lost() -> None:
    for blocks in range(2, 12):
        for block_size in (4096, 1024):
            setting = Setting(block_size=block_size, blocks=blocks)
            assert hunt(setting, operations(blocks, ALL, 60)) is None, setting
