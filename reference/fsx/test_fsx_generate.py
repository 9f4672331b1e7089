# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import errno
import random
from collections import Counter
from collections.abc import Mapping
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference.fsx import ByteFile, Kind, Mix, Operation, generate

COUNT = 20_000
WHOLE_BLOCKS = (Kind.DIRECT_READ, Kind.DIRECT_WRITE, Kind.COLLAPSE_RANGE, Kind.INSERT_RANGE, Kind.DEDUPE)


def executed(mix: Mix, seed: int, count: int) -> tuple[list[Operation], Counter[tuple[Kind, int]]]:
    """Return `count` operations, and how often each kind was refused or not (0), on the model."""
    file = ByteFile(mix.block)
    operations, answers = [], Counter[tuple[Kind, int]]()
    for operation in islice(generate(mix, random.Random(seed), file), count):
        answer = file.execute(operation)
        operations.append(operation)
        answers[operation.kind, 0 if isinstance(answer, bytes) else answer] += 1
        assert len(file.data) <= mix.max_size, operation
    return operations, answers


def test_a_seed_gives_the_same_operations_again() -> None:
    assert executed(Mix(), 1, 500) == executed(Mix(), 1, 500)
    assert executed(Mix(), 1, 500)[0] != executed(Mix(), 2, 500)[0]


def test_every_kind_comes_as_often_as_its_weight_says() -> None:
    mix = Mix()
    operations, _ = executed(mix, 1, COUNT)
    counted = Counter(operation.kind for operation in operations)
    for kind, weight in mix.weights.items():
        due = COUNT * weight / sum(mix.weights.values())
        # Those that need a size, or room, are drawn again where they have none.
        assert 0.6 * due < counted[kind] < 1.4 * due, kind


def test_nothing_is_refused_but_deduplication_of_what_differs() -> None:
    _, answers = executed(Mix(), 1, COUNT)
    assert {refusal for refusal in answers if refusal[1]} == {(Kind.DEDUPE, errno.EBADE)}
    assert answers[Kind.DEDUPE, 0] > 100
    assert answers[Kind.DEDUPE, errno.EBADE] > 100


def test_ranges_are_where_files_go_wrong() -> None:
    mix = Mix()
    file = ByteFile()
    seen = Counter[str]()
    for operation in islice(generate(mix, random.Random(1), file), COUNT):
        if operation.kind is Kind.WRITE:
            end = operation.offset + operation.length
            seen["all"] += 1
            seen["at a block"] += operation.offset % mix.block == 0
            seen["to a block"] += end % mix.block == 0
            seen["appended"] += operation.offset == len(file.data)
            seen["over the end"] += operation.offset < len(file.data) < end
            seen["behind a hole"] += operation.offset > len(file.data)
            seen["less than a block"] += operation.length < mix.block
            seen["nearly the longest"] += operation.length > mix.max_length * 0.9
        file.execute(operation)
    assert all(count > seen["all"] / 100 for count in seen.values()), seen


@pytest.mark.parametrize("align", [512, 4096])
def test_all_is_aligned_where_that_is_asked_for(align: int) -> None:
    operations, answers = executed(Mix(align=align), 1, 5000)
    numbers = {n for operation in operations for n in (operation.offset, operation.length, operation.to)}
    assert all(number % align == 0 for number in numbers)
    assert len({operation.kind for operation in operations}) == len(Kind)
    assert {refusal for refusal in answers if refusal[1]} <= {(Kind.DEDUPE, errno.EBADE)}


@given(
    kinds=st.sets(st.sampled_from(list(Kind))),
    blocks=st.integers(1, 9),
    longest=st.integers(4096, 20_000),
    align=st.sampled_from([1, 2, 512, 4096]),
    seed=st.integers(0, 1 << 32),
)
def test_every_mix_keeps_to_its_limits(
    kinds: set[Kind], blocks: int, longest: int, align: int, seed: int
) -> None:
    weights = dict.fromkeys({*kinds, Kind.WRITE}, 1)
    mix = Mix(weights, max_size=4096 * blocks, max_length=longest, align=align)
    operations, _ = executed(mix, seed, 100)
    for operation in operations:
        assert operation.kind in weights
        assert operation.length <= longest
        assert min(operation.offset, operation.to) >= 0
        assert max(operation.offset, operation.to) + operation.length <= mix.max_size
        if operation.kind in WHOLE_BLOCKS:
            assert (operation.offset % 4096, operation.length % 4096, operation.to % 4096) == (0, 0, 0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"weights": {Kind.READ: 1}}, "no file grow: it needs one of allocate, direct_write"),
        ({"weights": {Kind.WRITE: 0}}, "no file grow"),
        ({"weights": {Kind.WRITE: 1, Kind.READ: -1}}, "negative"),
        ({"align": 3}, "align, 3, does not divide the block of 4096 bytes"),
        ({"align": 0}, "align, 0"),
        ({"max_size": 5000}, "max_size, 5000, is no multiple"),
        ({"max_size": 0}, "max_size, 0"),
        ({"max_length": 100}, "max_length, 100, is less than the block"),
    ],
)
def test_a_mix_that_cannot_work_is_refused(wrong: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mix(**wrong)
