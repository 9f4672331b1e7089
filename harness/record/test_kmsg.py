# SPDX-License-Identifier: GPL-2.0-or-later
"""Records of /dev/kmsg as lines (format: Documentation/ABI/testing/dev-kmsg)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path

import pytest

from harness.record.kmsg import KernelLog, lines_since_boot

Answer = bytes | OSError


def read_all(monkeypatch: pytest.MonkeyPatch, *answers: Answer) -> tuple[list[str], int]:
    """Return what a log makes of a device that answers so, and how often it was overrun."""
    left: Iterator[Answer] = chain(answers, repeat(BlockingIOError()))

    def read(_fd: int, _size: int) -> bytes:
        answer = next(left)
        if isinstance(answer, OSError):
            raise answer
        return answer

    opened = os.open(os.devnull, os.O_RDONLY)
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", lambda *_: opened)
        patch.setattr(os, "read", read)
        log = KernelLog()
        return log.close(), log.overrun


def test_a_record_is_a_line_with_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    lines, overrun = read_all(
        monkeypatch,
        b"6,339,5140900,-;BTRFS info (device loop0): first mount\n",
        b"4,340,64712345678,c,caller=T77;a; b, c\n",
    )
    assert lines == ["[    5.140900] BTRFS info (device loop0): first mount", "[64712.345678] a; b, c"]
    assert overrun == 0


def test_continuation_lines_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    record = b"3,7,1000000,-;I/O error\n SUBSYSTEM=block\n DEVICE=b7:0\n"
    assert read_all(monkeypatch, record)[0] == ["[    1.000000] I/O error"]


@pytest.mark.parametrize("record", [b"6,1,2000000,-;\n", b"6,1,2000000,-;"])
def test_an_empty_record_is_an_empty_line(monkeypatch: pytest.MonkeyPatch, record: bytes) -> None:
    assert read_all(monkeypatch, record)[0] == ["[    2.000000] "]


def test_bytes_that_are_no_text_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_all(monkeypatch, b"6,1,0,-;a\xffb\n")[0] == ["[    0.000000] a\ufffdb"]


def test_lines_that_were_overwritten_are_counted_and_reading_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    lines, overrun = read_all(
        monkeypatch, b"6,1,0,-;a\n", BrokenPipeError(), b"6,9,0,-;b\n", BrokenPipeError(), b"6,20,0,-;c\n"
    )
    assert [line[-1] for line in lines] == ["a", "b", "c"]
    assert overrun == 2


def test_nothing_new(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_all(monkeypatch) == ([], 0)


@pytest.mark.live
def test_only_what_is_logged_from_now_on() -> None:
    line = f"iodiff test {os.getpid()}"
    device = Path("/dev/kmsg")
    device.write_text(f"before: {line}\n")
    log = KernelLog()
    device.write_text(f"after: {line}\n")
    so_far = log.lines()
    for lines, expected in (
        (so_far, [f"after: {line}"]),
        (log.close(), [f"after: {line}"]),
        (lines_since_boot(), [f"before: {line}", f"after: {line}"]),
    ):
        assert [text.partition("] ")[2] for text in lines if line in text] == expected
