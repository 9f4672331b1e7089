# SPDX-License-Identifier: GPL-2.0-or-later
"""Pages of which the data are in memory are waited for; those that get none are given up."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.direct_io import pages
from harness.direct_io.pages import wait_for_data

PAGE = 4096


@pytest.fixture
def file() -> Iterator[int]:
    """Yield a file of three pages on a disk, none of which is in memory."""
    folder = Path("/var/tmp")
    fd = os.open(folder, os.O_TMPFILE | os.O_RDWR)
    os.write(fd, bytes(2 * PAGE + 1))
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    yield fd
    os.close(fd)


def waited(fd: int, indices: list[int]) -> float:
    begin = time.monotonic()
    wait_for_data(fd, indices, ())
    return time.monotonic() - begin


def test_pages_with_data_are_not_waited_for(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "FAILED_S", 60.0)
    os.pread(file, 3 * PAGE, 0)
    assert waited(file, [0, 1, 2]) < 30.0
    # No page of the file, and none at all.
    assert waited(file, [3, 7]) < 30.0
    assert waited(file, []) < 30.0


def test_a_page_that_gets_no_data_is_given_up_when_devices_are_idle(
    file: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "FAILED_S", 60.0)
    assert pages.IDLE_LOOKS * pages.LOOK_S <= waited(file, [1]) < 30.0


def test_a_page_that_gets_no_data_is_given_up_after_a_while(
    file: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "FAILED_S", 0.05)
    monkeypatch.setattr(pages, "_are_idle", lambda _devices: False)
    assert waited(file, [1]) >= 0.05


def test_a_page_is_waited_for_until_it_has_its_data(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "FAILED_S", 60.0)
    monkeypatch.setattr(pages, "_are_idle", lambda _devices: False)
    reader = threading.Timer(0.05, os.pread, (file, 1, PAGE))
    reader.start()
    assert waited(file, [1]) < 30.0
    assert os.preadv(file, [bytearray(1)], PAGE, os.RWF_NOWAIT) == 1
    reader.join()
