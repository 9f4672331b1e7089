# SPDX-License-Identifier: GPL-2.0-or-later
"""The format of a trace event tells where its fields are and what their values are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.capture import formats
from harness.capture.formats import find_events, read_format
from harness.errors import InfrastructureError, UserError

FORMAT = """\
name: btrfs_set_extent_bit
ID: 1523
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:u8 fsid[16];\toffset:8;\tsize:16;\tsigned:0;
\tfield:unsigned owner;\toffset:24;\tsize:4;\tsigned:0;
\tfield:u64 ino;\toffset:32;\tsize:8;\tsigned:0;
\tfield:const void * ip;\toffset:40;\tsize:8;\tsigned:0;
\tfield:unsigned set_bits;\toffset:64;\tsize:4;\tsigned:0;

print fmt: "%pU: io_tree=%s ino=%llu set_bits=%s", REC->fsid, \
__print_symbolic(REC->owner, {0, "PINNED_EXTENTS"}, {3, "INODE_IO"}), REC->ino, \
__print_flags(REC->set_bits, "|", { (1U << 0), "DIRTY"}, { (1UL << 14), "DELALLOC_NEW"}, { 0x20, "DEFRAG"}, \
{ EXTENT_LOCKED, "LOCKED"})
"""


def events_with(text: str, folder: Path) -> Path:
    (folder / "event").mkdir()
    (folder / "event" / "format").write_text(text)
    return folder


def test_number_fields_and_values(tmp_path: Path) -> None:
    found = read_format(events_with(FORMAT, tmp_path), "event")
    assert found.number == 1523
    expected = {"fsid": 8, "owner": 24, "ino": 32, "ip": 40, "set_bits": 64}
    assert found.fields == {"common_type": 0, "common_pid": 4, **expected}
    assert found.values["owner"] == {"PINNED_EXTENTS": 0, "INODE_IO": 3}
    # An enumerator whose value is not told is left out.
    assert found.values["set_bits"] == {"DIRTY": 1, "DELALLOC_NEW": 1 << 14, "DEFRAG": 32}
    assert found.values["ino"] == {}


def test_an_event_without_number_is_not_understood(tmp_path: Path) -> None:
    events = events_with(FORMAT.replace("ID: ", "id "), tmp_path)
    with pytest.raises(InfrastructureError, match="btrfs:event has no ID"):
        read_format(events, "event")


def test_an_event_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no tracepoint btrfs:event"):
        read_format(tmp_path, "event")


def test_events_are_found_where_tracefs_is_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = tmp_path / "tracing", tmp_path / "debug"
    monkeypatch.setattr(formats, "TRACEFS", places)
    with pytest.raises(UserError, match="no tracefs is mounted: mount -t tracefs"):
        find_events()
    (places[1] / "events").mkdir(parents=True)
    with pytest.raises(UserError, match="no events of btrfs: modprobe btrfs"):
        find_events()
    (places[1] / "events" / "btrfs").mkdir()
    assert find_events() == places[1] / "events" / "btrfs"
