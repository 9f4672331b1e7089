# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that list cases: what matches, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UserError
from harness.run.case_list import CaseList

KNOWN = ["extent_state/mmap", "extent_state/raid1", "direct_io/raid1"]


def read(tmp_path: Path, text: str) -> CaseList:
    file = tmp_path / "list"
    file.write_text(text)
    return CaseList.read([file], KNOWN)


def test_a_case_is_listed_for_all_kernels_or_for_one(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "# a heading\n\nextent_state/mmap # slow here\n*/raid1@debian-5.* # lost, see the link\n",
    )
    assert found.reason("extent_state/mmap", "host") == "slow here"
    assert found.reason("direct_io/raid1", "debian-5.10") == "lost, see the link"
    assert found.reason("direct_io/raid1", "debian-6.1") is None
    assert found.reason("extent_state/other", "host") is None
    assert CaseList().reason("extent_state/mmap", "host") is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("extent_state/mmap\n", "line 1: write it as `CASE # REASON`"),
        ("\nextent_state/mmap #  \n", "line 2: write it as"),
        ("extent_state/mmap direct_io/raid1 # both\n", "line 1: write it as"),
        ("extent_state/mnap # typed wrong\n", "line 1: no case is called extent_state/mnap"),
    ],
)
def test_a_line_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        read(tmp_path, text)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: No such file"):
        CaseList.read([tmp_path / "nowhere"], KNOWN)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="is no text"):
        CaseList.read([tmp_path / "binary"], KNOWN)
