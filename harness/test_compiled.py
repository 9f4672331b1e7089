# SPDX-License-Identifier: GPL-2.0-or-later
"""Where machine code is kept: in the user's cache, elsewhere for other sources, nowhere if need be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import harness.compiled
from harness.compiled import keep_compiled


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    return tmp_path / "cache" / "iodiff" / "numba"


def test_it_is_kept_in_the_users_cache(cache: Path) -> None:
    folder = keep_compiled()
    assert folder is not None
    assert folder.parent == cache
    assert folder.is_dir()
    assert os.environ["NUMBA_CACHE_DIR"] == str(folder)
    assert keep_compiled() == folder


def test_other_sources_have_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in harness.compiled.SOURCES:
        (tmp_path / name / "below").mkdir(parents=True)
    file = tmp_path / harness.compiled.SOURCES[0] / "below" / "seek.py"
    file.write_text("a")
    monkeypatch.setattr(harness.compiled, "ROOT", tmp_path)
    before = keep_compiled()
    file.write_text("b")
    assert keep_compiled() != before


def test_where_nothing_can_be_written_nothing_is_kept(cache: Path) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where the folder would be")
    assert keep_compiled() is None
    assert os.environ["NUMBA_CACHE_DIR"] == ""
