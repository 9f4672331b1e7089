# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from loopdevs import LoopdevsError, NotOursError
from loopdevs.journal import (
    BcacheEntry,
    DirectoryEntry,
    DriveEntry,
    Entry,
    FileEntry,
    Journal,
    LoopEntry,
    MapperEntry,
    MountEntry,
    ProcessEntry,
    ScanEntry,
    TracingEntry,
    parse_journal,
    private_path,
)

ONE_OF_EACH: list[Entry] = [
    FileEntry("a"),
    DirectoryEntry("b"),
    LoopEntry("a", 5, 6),
    DriveEntry("iodiff-00"),
    MapperEntry("iodiff-0-1"),
    ScanEntry("a"),
    BcacheEntry("a"),
    MountEntry("b"),
    TracingEntry("iodiff-0-0"),
    ProcessEntry(7, 8),
]


def test_what_is_recorded_is_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for entry in ONE_OF_EACH:
        journal.record(entry)
    assert parse_journal(journal.path.read_text()) == (ONE_OF_EACH, [])
    assert journal.entries == ONE_OF_EACH


def test_a_line_cut_anywhere_is_ignored(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.record(FileEntry("a"))
    whole = len(journal.path.read_text())
    journal.record(LoopEntry("a", 5, 6))
    text = journal.path.read_text()
    for length in range(whole, len(text)):
        assert parse_journal(text[:length]) == ([FileEntry("a")], [])


@pytest.mark.parametrize(
    "line",
    [
        "",
        "null",
        "{}",
        '{"kind": "disk", "name": "a"}',
        '{"kind": "file"}',
        '{"kind": "file", "name": 5}',
        '{"kind": "file", "name": "a", "more": 1}',
        '{"kind": "process", "pid": true, "start_time": 1}',
        "\0\0\0",
    ],
)
def test_a_complete_line_that_is_no_record_is_refused(line: str) -> None:
    entries, refused = parse_journal(f'{line}\n{{"kind": "file", "name": "a"}}\n')
    assert entries == [FileEntry("a")]
    assert len(refused) == 1
    assert "line 1" in refused[0]


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path)
    journal.record(FileEntry("a"))
    before = journal.path.read_bytes()
    write = os.write
    room = [10]

    def write_until_full(descriptor: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write(descriptor, data[: room[0]])
        room[0] -= written
        return written

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", write_until_full)
        with pytest.raises(LoopdevsError, match="No space left"):
            journal.record(FileEntry("b"))
    assert journal.path.read_bytes() == before
    assert journal.entries == [FileEntry("a")]


@pytest.mark.parametrize("name", ["", ".", "/", "/etc", "/dev/sda", "..", "../other", "a/../../b", "a\0b"])
def test_no_name_leads_out(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotOursError):
        private_path(tmp_path, name)


def test_no_name_leads_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    with pytest.raises(NotOursError, match="symbolic link"):
        private_path(tmp_path, "link/passwd")
    assert private_path(tmp_path, "folder/file") == tmp_path / "folder" / "file"
