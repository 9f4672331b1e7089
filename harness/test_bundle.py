# SPDX-License-Identifier: GPL-2.0-or-later
"""Bundles: what goes in comes out, and what was changed afterwards is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.bundle import (
    FORMAT,
    MANIFEST,
    VERDICT_FILE,
    Bundle,
    BundleWriter,
    find_bundles,
    read_table,
    write_table,
)
from harness.errors import UserError

INTEGERS = ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a complete bundle."""
    writer = BundleWriter(tmp_path / "run" / "case")
    writer.add_text("dmesg.txt", "a line\n")
    writer.add_json("fio/00-job.json", {"jobs": []})
    writer.add_table("events.npz", {"time_ns": np.arange(5, dtype="u8")})
    writer.finish({"seed": 7})
    return writer.path


def refused(folder: Path) -> str:
    with pytest.raises(UserError) as error:
        Bundle.open(folder)
    message = str(error.value)
    assert "\n" not in message
    return message


def rewrite_manifest(folder: Path, change: Callable[[dict[str, Any]], None], *, sealed: bool) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    if sealed:
        body = {k: v for k, v in manifest.items() if k != "digest"}
        manifest["digest"] = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    (folder / MANIFEST).write_text(json.dumps(manifest))


@pytest.mark.parametrize("kind", INTEGERS)
def test_tables_of_every_integer_come_back(tmp_path: Path, kind: str) -> None:
    limits = np.iinfo(kind)
    # Every difference between two extremes wraps around.
    column = np.array([limits.min, limits.max, limits.min, limits.max, limits.max, 0, 1], kind)
    table = {"extremes": column, "none": column[:0], "alone": column[1:2]}
    write_table(tmp_path / "t.npz", table)
    back = read_table(tmp_path / "t.npz")
    assert list(back) == list(table)
    for name, column in table.items():
        assert back[name].dtype == column.dtype
        assert back[name].tolist() == column.tolist()


def test_single_columns_are_read_alone(tmp_path: Path) -> None:
    write_table(tmp_path / "t.npz", {"a": np.array([1, 2]), "b": np.array([3, 3])})
    assert {name: c.tolist() for name, c in read_table(tmp_path / "t.npz", "b").items()} == {"b": [3, 3]}
    with pytest.raises(KeyError):
        read_table(tmp_path / "t.npz", "c")


def test_the_greatest_offset_comes_back(tmp_path: Path) -> None:
    last = 2**64 - 1
    write_table(tmp_path / "t.npz", {"end": np.array([4095, last, 0, last], "u8")})
    assert read_table(tmp_path / "t.npz")["end"].tolist() == [4095, last, 0, last]


def test_a_table_that_cannot_be_written_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Object arrays"):
        write_table(tmp_path / "t.npz", {"good": np.arange(3), "bad": np.array([1, 2, None])[:1]})
    assert not (tmp_path / "t.npz").exists()


def test_writing_a_table_leaves_it_alone(tmp_path: Path) -> None:
    column = np.array([1, 2, 4])
    write_table(tmp_path / "t.npz", {"c": column})
    assert column.tolist() == [1, 2, 4]


def test_contents_come_back(folder: Path) -> None:
    bundle = Bundle.open(folder)
    assert bundle.manifest["format"] == FORMAT
    assert bundle.manifest["seed"] == 7
    assert bundle.text("dmesg.txt") == "a line\n"
    assert bundle.json("fio/00-job.json") == {"jobs": []}
    assert bundle.table("events.npz")["time_ns"].tolist() == [0, 1, 2, 3, 4]
    assert bundle.has("dmesg.txt")
    assert not bundle.has("events")


def test_without_its_manifest_it_is_no_bundle(tmp_path: Path) -> None:
    writer = BundleWriter(tmp_path / "case")
    writer.add_text("dmesg.txt", "")
    assert "not a complete bundle" in refused(writer.path)
    with pytest.raises(UserError, match="no complete bundle there"):
        find_bundles(tmp_path)


def test_the_manifest_is_never_seen_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = BundleWriter(tmp_path / "case")
    synced: list[bool] = []
    monkeypatch.setattr("os.fsync", lambda _fd: synced.append((writer.path / MANIFEST).exists()))
    writer.finish({})
    assert synced == [False]
    assert [p.name for p in writer.path.iterdir()] == [MANIFEST]


def test_nothing_is_overwritten(folder: Path) -> None:
    with pytest.raises(FileExistsError):
        BundleWriter(folder)
    writer = BundleWriter(folder.parent / "other")
    writer.add_text("dmesg.txt", "first")
    with pytest.raises(FileExistsError, match=r"dmesg\.txt"):
        writer.add_text("dmesg.txt", "second")
    assert (writer.path / "dmesg.txt").read_text() == "first"


def test_a_bundle_is_finished_once(tmp_path: Path) -> None:
    writer = BundleWriter(tmp_path / "case")
    writer.finish({"seed": 1})
    with pytest.raises(FileExistsError, match=MANIFEST):
        writer.finish({"seed": 2})
    assert Bundle.open(writer.path).manifest["seed"] == 1


def test_a_verdict_may_come_and_change(folder: Path) -> None:
    for verdict in ("{}", '{"format": 1}'):
        (folder / VERDICT_FILE).write_text(verdict)
        Bundle.open(folder)


def test_a_truncated_file_is_refused(folder: Path) -> None:
    file = folder / "events.npz"
    file.write_bytes(file.read_bytes()[:-1])
    assert "events.npz" in refused(folder)
    assert "damaged" in refused(folder)


def test_a_changed_file_is_refused(folder: Path) -> None:
    (folder / "dmesg.txt").write_text("A line\n")
    assert "dmesg.txt: changed after it was recorded" in refused(folder)


def test_a_missing_file_is_refused(folder: Path) -> None:
    (folder / "fio/00-job.json").unlink()
    assert "fio/00-job.json: No such file" in refused(folder)


def test_a_file_too_many_is_refused(folder: Path) -> None:
    (folder / "fio/notes").write_text("")
    assert "fio/notes is not part of the bundle" in refused(folder)


@pytest.mark.parametrize("text", ["", "{", "\xff"])
def test_an_unreadable_manifest_is_refused(folder: Path, text: str) -> None:
    (folder / MANIFEST).write_text(text, encoding="latin-1")
    assert "cannot be read" in refused(folder)


@pytest.mark.parametrize("other", [FORMAT + 1, None, "1"])
def test_other_formats_are_refused(folder: Path, other: object) -> None:
    rewrite_manifest(folder, lambda m: m.update(format=other), sealed=True)
    assert f"bundle format {other!r}, this iodiff reads {FORMAT}" in refused(folder)


def test_json_that_is_no_manifest_is_refused(folder: Path) -> None:
    (folder / MANIFEST).write_text("[]")
    assert "bundle format 'list'" in refused(folder)


@pytest.mark.parametrize("key", ["seed", "files", "digest"])
def test_a_changed_manifest_is_refused(folder: Path, key: str) -> None:
    rewrite_manifest(folder, lambda m: m.update({key: {}}), sealed=False)
    assert f"{MANIFEST}: changed after it was recorded" in refused(folder)


def test_bundles_are_found_at_and_below(folder: Path) -> None:
    assert find_bundles(folder) == [folder]
    assert find_bundles(folder.parent.parent) == [folder]
