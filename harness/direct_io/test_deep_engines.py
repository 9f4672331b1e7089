# SPDX-License-Identifier: GPL-2.0-or-later
"""Several reads at a time: each engine reads what it is asked for, and says what came of it."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator
from errno import EBADF
from pathlib import Path

import pytest

from harness.direct_io.aio import Aio, Asked
from harness.direct_io.uring import Uring, UringWay
from harness.errors import UserError

DATA = bytes(range(256)) * 64
WAYS = [
    UringWay(),
    UringWay(sqpoll=True),
    UringWay(forced_async=True),
    UringWay(registered=True),
    UringWay(sqpoll=True, registered=True),
]


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "file").write_bytes(DATA)
    opened = os.open(tmp_path / "file", os.O_RDONLY | os.O_CLOEXEC)
    yield opened
    os.close(opened)


@pytest.fixture
def memory() -> Iterator[tuple[mmap.mmap, int]]:
    with mmap.mmap(-1, 1 << 16) as made:
        view = ctypes.c_char.from_buffer(made)
        yield made, ctypes.addressof(view)
        del view


def asked_for(fd: int, start: int) -> list[Asked]:
    """Reads of one piece, of several, over the end and behind it."""
    return [
        Asked(fd, [(start, 300)], 7),
        Asked(fd, [(start + 4096, 10), (start + 8192, 500)], 1000),
        Asked(fd, [(start + 12288, 4096)], len(DATA) - 100),
        Asked(fd, [(start + 20480, 4096)], len(DATA) + 5),
    ]


def check(memory: mmap.mmap, returned: list[int]) -> None:
    assert returned == [300, 510, 100, 0]
    assert memory[:300] == DATA[7:307]
    assert memory[4096:4106] + memory[8192:8692] == DATA[1000:1510]
    assert memory[12288:12400] == DATA[-100:] + bytes(12)
    assert memory[20480:] == bytes(len(memory) - 20480)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_reads_by_io_uring(fd: int, memory: tuple[mmap.mmap, int], way: UringWay) -> None:
    area, start = memory
    try:
        with Uring.opened(4, way, [fd], (start, len(area))) as uring:
            for _ in range(3):
                check(area, uring.read_all(asked_for(fd, start)))
    except UserError as error:
        pytest.skip(str(error))


def test_reads_by_libaio(fd: int, memory: tuple[mmap.mmap, int]) -> None:
    area, start = memory
    try:
        with Aio.opened(4) as aio:
            check(area, aio.read_all(asked_for(fd, start)))
    except UserError as error:
        pytest.skip(str(error))


def test_a_read_that_is_refused_leaves_the_others(fd: int, memory: tuple[mmap.mmap, int]) -> None:
    """io_submit(2) stops at the first that it refuses."""
    area, start = memory
    before, *behind = asked_for(fd, start)
    try:
        with Aio.opened(5) as aio:
            returned = aio.read_all([before, Asked(-1, [(start, 1)], 0), *behind])
    except UserError as error:
        pytest.skip(str(error))
    assert returned.pop(1) == -EBADF
    check(area, returned)
