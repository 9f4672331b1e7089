# SPDX-License-Identifier: GPL-2.0-or-later
"""The naive model and the operations by examples; `harness/test_realfile.py` holds it against kernels."""

from __future__ import annotations

import errno

import pytest

from reference.fsx import Answer, ByteFile, Kind, Operation, listing, pattern

BLOCK = 4


def file_of(data: bytes) -> ByteFile:
    file = ByteFile(BLOCK)
    file.data[:] = data
    return file


@pytest.mark.parametrize(
    ("operation", "after"),
    [
        (Operation(Kind.TRUNCATE, 3), b"abc"),
        (Operation(Kind.TRUNCATE, 12), b"abcdefghij\0\0"),
        (Operation(Kind.ALLOCATE, 2, 10), b"abcdefghij\0\0"),
        (Operation(Kind.ALLOCATE, 2, 3), b"abcdefghij"),
        (Operation(Kind.RESERVE, 2, 10), b"abcdefghij"),
        (Operation(Kind.PUNCH_HOLE, 1, 2), b"a\0\0defghij"),
        (Operation(Kind.PUNCH_HOLE, 8, 9), b"abcdefgh\0\0"),
        (Operation(Kind.PUNCH_HOLE, 20, 9), b"abcdefghij"),
        (Operation(Kind.ZERO_RANGE, 9, 3), b"abcdefghi\0\0\0"),
        (Operation(Kind.ZERO_RANGE, 12, 1), b"abcdefghij\0\0\0"),
        (Operation(Kind.ZERO_WITHIN, 9, 3), b"abcdefghi\0"),
        (Operation(Kind.COLLAPSE_RANGE, 4, 4), b"abcdij"),
        (Operation(Kind.INSERT_RANGE, 4, 4), b"abcd\0\0\0\0efghij"),
        (Operation(Kind.CLONE, 0, 4, 4), b"abcdabcdij"),
        (Operation(Kind.CLONE, 4, 4, 12), b"abcdefghij\0\0efgh"),
        (Operation(Kind.CLONE, 8, 2, 12), b"abcdefghij\0\0ij"),
        (Operation(Kind.COPY, 1, 2, 4), b"abcdbcghij"),
        (Operation(Kind.COPY, 8, 9, 12), b"abcdefghij\0\0ij"),
        (Operation(Kind.COPY, 10, 9, 20), b"abcdefghij"),
        (Operation(Kind.FSYNC), b"abcdefghij"),
        (Operation(Kind.INVALIDATE), b"abcdefghij"),
        (Operation(Kind.REMOUNT), b"abcdefghij"),
    ],
    ids=str,
)
def test_changes(operation: Operation, after: bytes) -> None:
    file = file_of(b"abcdefghij")
    assert file.execute(operation) == 0
    assert bytes(file.data) == after


@pytest.mark.parametrize(
    ("operation", "refusal"),
    [
        (Operation(Kind.DIRECT_READ, 1, 4), errno.EINVAL),
        (Operation(Kind.DIRECT_WRITE, 0, 5), errno.EINVAL),
        (Operation(Kind.MAP_READ, 8, 3), errno.EFAULT),
        (Operation(Kind.MAP_WRITE, 10, 1), errno.EFAULT),
        (Operation(Kind.COLLAPSE_RANGE, 1, 4), errno.EINVAL),
        (Operation(Kind.COLLAPSE_RANGE, 4, 8), errno.EINVAL),
        (Operation(Kind.INSERT_RANGE, 4, 3), errno.EINVAL),
        (Operation(Kind.INSERT_RANGE, 12, 4), errno.EINVAL),
        (Operation(Kind.CLONE, 8, 4, 0), errno.EINVAL),  # beyond the end
        (Operation(Kind.CLONE, 8, 2, 0), errno.EINVAL),  # a part of a block into the middle
        (Operation(Kind.CLONE, 0, 3, 12), errno.EINVAL),
        (Operation(Kind.CLONE, 0, 8, 4), errno.EINVAL),  # into itself
        (Operation(Kind.CLONE, 1, 4, 8), errno.EINVAL),
        (Operation(Kind.DEDUPE, 0, 4, 4), errno.EBADE),
        (Operation(Kind.DEDUPE, 0, 4, 8), errno.EINVAL),
        (Operation(Kind.DEDUPE, 4, 4, 4), errno.EINVAL),
        (Operation(Kind.DEDUPE, 0, 4, 2), errno.EINVAL),
        (Operation(Kind.DEDUPE, 8, 2, 8), errno.EINVAL),  # not cut to whole blocks where the file ends
        (Operation(Kind.COPY, 0, 4, 3), errno.EINVAL),
        (Operation(Kind.COPY, 8, 9, 9), errno.EINVAL),
    ],
    ids=str,
)
def test_refusals_change_nothing(operation: Operation, refusal: int) -> None:
    file = file_of(b"abcdefghij")
    assert file.execute(operation) == refusal
    assert file.data == b"abcdefghij"


@pytest.mark.parametrize(
    "operation",
    [
        Operation(Kind.COLLAPSE_RANGE, 4, 4),
        Operation(Kind.INSERT_RANGE, 8, 4),
        Operation(Kind.CLONE, 4, 8, 0),
        Operation(Kind.DEDUPE, 4, 8, 0),
    ],
    ids=str,
)
def test_refusals_at_an_end_that_is_the_end_of_a_block(operation: Operation) -> None:
    file = file_of(b"abcdefgh")
    assert file.execute(operation) == errno.EINVAL
    assert file.data == b"abcdefgh"


@pytest.mark.parametrize("kind", [Kind.WRITE, Kind.DIRECT_WRITE])
def test_writes_extend_over_a_hole(kind: Kind) -> None:
    file = file_of(b"abcde")
    assert file.execute(Operation(kind, 8, 4, seed=9)) == 0
    assert file.data == b"abcde\0\0\0" + pattern(9, 4)


def test_mapped_writes_stay_inside() -> None:
    file = file_of(b"abcde")
    assert file.execute(Operation(Kind.MAP_WRITE, 3, 2, seed=9)) == 0
    assert file.data == b"abc" + pattern(9, 2)


@pytest.mark.parametrize(
    ("operation", "answer"),
    [
        (Operation(Kind.READ, 1, 3), b"bcd"),
        (Operation(Kind.READ, 8, 3), b"ij"),
        (Operation(Kind.READ, 10, 3), b""),
        (Operation(Kind.DIRECT_READ, 8, 8), b"ij"),
        (Operation(Kind.MAP_READ, 8, 2), b"ij"),
        (Operation(Kind.DEDUPE, 0, 4, 4), 0),
        (Operation(Kind.DEDUPE, 0, 5, 4), 0),
        (Operation(Kind.DEDUPE, 4, 3, 0), 0),
    ],
    ids=str,
)
def test_answers(operation: Operation, answer: Answer) -> None:
    file = file_of(b"abcdefghij" if operation.kind is not Kind.DEDUPE else b"abcdabcdx")
    before = bytes(file.data)
    assert file.execute(operation) == answer
    assert file.data == before


def test_patterns_follow_from_their_seed() -> None:
    assert pattern(1, 100) == pattern(1, 100)
    assert pattern(1, 100) != pattern(2, 100)
    assert pattern(3, 200)[:100] == pattern(3, 100)
    assert pattern(1 << 31, 5)


@pytest.mark.parametrize("length", [0, 1, 1 << 20, (1 << 20) + 1, 5 << 20])
def test_patterns_have_the_length_asked_for(length: int) -> None:
    assert len(pattern(77, length)) == length


def test_sequences_are_listed_readably() -> None:
    operations = [
        Operation(Kind.TRUNCATE, 5000),
        Operation(Kind.MAP_WRITE, 10, 20, seed=3),
        Operation(Kind.COPY, 0, 1, 7),
        Operation(Kind.REMOUNT),
        Operation(Kind.READ, 0, 5001),
    ]
    assert listing(operations) == [
        "  1. truncate to 5000",
        "  2. map_write 10..29 (20 bytes, seed 3)",
        "  3. copy 0..0 (1 bytes) to 7",
        "  4. remount",
        "  5. read 0..5000 (5001 bytes)",
    ]
