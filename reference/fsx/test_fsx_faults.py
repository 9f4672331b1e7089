# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that are wrong on purpose are found out, and the sequence that shows it shrinks to a few lines."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable, Sequence
from itertools import islice

import pytest

from reference.fsx import (
    Answer,
    ByteFile,
    FileUnderTest,
    Kind,
    Mismatch,
    Mix,
    Operation,
    check,
    generate,
    listing,
    shrink,
)

OPERATIONS = 3000


class KeepsWhatWasCut(ByteFile):
    """Cut bytes come back when the file grows again: the page behind the end was not zeroed."""

    def execute(self, operation: Operation) -> Answer:
        before = bytes(self.data)
        answer = super().execute(operation)
        if operation.kind is Kind.TRUNCATE and operation.offset < len(before):
            self.cut = before
        elif operation.kind is Kind.TRUNCATE and len(before) < len(self.data):
            old = getattr(self, "cut", b"")[len(before) : len(self.data)]
            self.data[len(before) : len(before) + len(old)] = old
        return answer


class PunchesOneByteLess(ByteFile):
    """The last byte of a hole stays."""

    def execute(self, operation: Operation) -> Answer:
        if operation.kind is Kind.PUNCH_HOLE:
            operation = operation._replace(length=operation.length - 1)
        return super().execute(operation)


class ForgetsMappedWrites(ByteFile):
    """What was stored through a mapping is lost if the pages go before fsync."""

    def __init__(self) -> None:
        super().__init__()
        self.stored: bytearray | None = None

    def execute(self, operation: Operation) -> Answer:
        if operation.kind is Kind.MAP_WRITE and self.stored is None:
            self.stored = self.data[:]
        elif operation.kind is Kind.INVALIDATE and self.stored is not None:
            self.data[: len(self.stored)] = self.stored[: len(self.data)]
        if operation.kind in (Kind.FSYNC, Kind.INVALIDATE):
            self.stored = None
        return super().execute(operation)


class RefusesTheLastBlock(ByteFile):
    """A block cannot be inserted before the last one."""

    def execute(self, operation: Operation) -> Answer:
        if operation.kind is Kind.INSERT_RANGE and operation.offset + self.block >= len(self.data):
            return errno.EINVAL
        return super().execute(operation)


class GrowsAtTheEnd(ByteFile):
    """A remount makes the file one byte longer."""

    def execute(self, operation: Operation) -> Answer:
        if operation.kind is Kind.REMOUNT and self.data:
            self.data.append(0)
        return super().execute(operation)


def fails(make: Callable[[], FileUnderTest]) -> Callable[[Sequence[Operation]], bool]:
    return lambda operations: check(make(), ByteFile(), operations) is not None


def found(make: Callable[[], FileUnderTest], mix: Mix, seed: int = 1) -> Mismatch:
    model = ByteFile()
    mismatch = check(make(), model, islice(generate(mix, random.Random(seed), model), OPERATIONS))
    assert mismatch is not None
    return mismatch


def smallest(make: Callable[[], FileUnderTest], mix: Mix) -> list[str]:
    shrunk = shrink(found(make, mix).operations, fails(make))
    last = check(make(), ByteFile(), shrunk)
    assert last is not None
    return listing(last.operations)


def test_the_model_agrees_with_itself() -> None:
    model = ByteFile()
    assert check(ByteFile(), model, islice(generate(Mix(), random.Random(1), model), OPERATIONS)) is None


def test_cut_bytes_that_come_back() -> None:
    *lines, last = smallest(KeepsWhatWasCut, Mix())
    assert [line.split()[1] for line in lines] == ["write", "truncate", "truncate"]
    assert last.split()[1] == "read"


def test_a_hole_that_is_too_short() -> None:
    lines = smallest(PunchesOneByteLess, Mix())
    assert lines == [
        "  1. write 0..0 (1 bytes, seed 1)",
        "  2. punch_hole 0..0 (1 bytes)",
        "  3. read 0..1 (2 bytes)",
    ]


def test_stores_that_are_lost() -> None:
    lines = smallest(ForgetsMappedWrites, Mix())
    assert len(lines) == 4
    assert [line.split()[1] for line in lines[1:]] == ["map_write", "invalidate", "read"]


def test_a_refusal_that_should_not_be() -> None:
    lines = smallest(RefusesTheLastBlock, Mix())
    assert [line.split()[1] for line in lines][1:] == ["insert_range"]


def test_a_file_that_is_too_long_after_a_remount() -> None:
    mix = Mix({Kind.WRITE: 1})
    lines = smallest(GrowsAtTheEnd, mix)
    assert lines == [
        "  1. write 0..0 (1 bytes, seed 1)",
        "  2. read 0..1 (2 bytes)",
        "  3. remount",
        "  4. read 0..1 (2 bytes)",
    ]


@pytest.mark.parametrize("at", [0, 1, 4095, 4096, 9999])
def test_one_wrong_byte_is_found_wherever_it_is(at: int) -> None:
    class WrongByte(ByteFile):
        def execute(self, operation: Operation) -> Answer:
            answer = super().execute(operation)
            if isinstance(answer, bytes) and operation.offset <= at < operation.offset + len(answer):
                wrong = bytearray(answer)
                wrong[at - operation.offset] ^= 1
                return bytes(wrong)
            return answer

    mismatch = check(WrongByte(), ByteFile(), [Operation(Kind.WRITE, 0, 10_000, seed=5)])
    assert mismatch is not None
    assert str(mismatch).startswith(f"read 0..10000 (10001 bytes): byte {at} is 0x")


def test_differences_are_told_in_one_line() -> None:
    read = Operation(Kind.READ, 10, 4)
    tell: list[tuple[Answer, Answer, str]] = [
        (b"abcd", b"abxd", "byte 12 is 0x78 instead of 0x63"),
        (b"abcd", b"xbxd", "byte 10 is 0x78 instead of 0x61 (2 bytes differ)"),
        (b"abcd", b"ab", "2 bytes instead of 4"),
        (b"abcd", errno.EINVAL, "answered EINVAL instead of 4 bytes"),
        (0, errno.EBADE, "answered EBADE instead of success"),
    ]
    for expected, wrong, text in tell:
        assert str(Mismatch((read,), expected, wrong)) == f"read 10..13 (4 bytes): {text}"


def test_what_does_not_fail_again_stays_as_it_is() -> None:
    operations = found(PunchesOneByteLess, Mix()).operations
    assert shrink(operations, lambda _: False) == list(operations)


def test_shrinking_gives_up_after_so_many_tries() -> None:
    tries = 0

    def count(_operations: Sequence[Operation]) -> bool:
        nonlocal tries
        tries += 1
        return tries % 3 == 0

    shrink(found(PunchesOneByteLess, Mix()).operations, count, tries=50)
    assert tries == 50


def test_whole_blocks_stay_whole_when_shrunk() -> None:
    operations = [Operation(Kind.DIRECT_WRITE, 8 * 4096, 16 * 4096, seed=77)]
    shrunk = shrink(operations, lambda ops: ops[0].kind is Kind.DIRECT_WRITE and ops[0].length > 4096)
    assert shrunk == [Operation(Kind.DIRECT_WRITE, 0, 2 * 4096, seed=1)]
