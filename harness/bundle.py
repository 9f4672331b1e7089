# SPDX-License-Identifier: GPL-2.0-or-later
"""The run bundle: a self-describing folder that holds everything one case left behind.

A bundle is written in two phases. While recording, files are only added. `BundleWriter.finish`
then digests them all into `bundle.json`, written under a temporary name, fsynced and renamed: a
folder without `bundle.json` is not a bundle, and one whose files differ from their digests is refused.
`verdict.json` may stand in the same folder; it is a judgement, made again at will, not part of the record.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import UserError

__all__ = [
    "FORMAT",
    "MANIFEST",
    "VERDICT_FILE",
    "Bundle",
    "BundleWriter",
    "find_bundles",
    "read_table",
    "write_table",
]

FORMAT = 1
MANIFEST = "bundle.json"
VERDICT_FILE = "verdict.json"

_OF_FINISH = {"format", "files", "digest"}
"""What `BundleWriter.finish` puts into the manifest by itself."""

# A judgement may stand beside the record, half-written too when its judge was killed.
_NOT_RECORDED = {MANIFEST, VERDICT_FILE, VERDICT_FILE + ".tmp"}

Table = dict[str, NDArray[Any]]
"""Equal-length columns by name."""


class BundleWriter:
    """Collects the files of one bundle in `path`, a folder that must not exist yet."""

    def __init__(self, path: Path) -> None:
        """Create the folder; FileExistsError when it is already there (a bundle is never overwritten)."""
        path.mkdir(parents=True)
        self.path = path

    @classmethod
    def of(cls, path: Path) -> BundleWriter:
        """Go on with a folder that holds files but no manifest."""
        writer = cls.__new__(cls)
        writer.path = path
        return writer

    def file(self, name: str) -> Path:
        """Return the path for a new file `name` (may hold slashes); FileExistsError if it was written."""
        path = self.path / name
        if path.exists():
            raise FileExistsError(f"{path} is already in the bundle")
        if path.parent != self.path:
            path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def add_text(self, name: str, text: str) -> None:
        """Add a text file."""
        self.file(name).write_text(text)

    def add_json(self, name: str, data: Any) -> None:
        """Add a JSON file."""
        self.add_text(name, json.dumps(data, indent=1) + "\n")

    def add_table(self, name: str, table: Table) -> None:
        """Add a columnar table (see `write_table`)."""
        write_table(self.file(name), table)

    def finish(self, facts: Mapping[str, Any]) -> Bundle:
        """Write the manifest last: `facts` plus format, file digests and a digest over all of it.

        FileExistsError when it is written already.
        """
        target = self.file(MANIFEST)
        files = {name: _described(self.path / name) for name in _files(self.path)}
        manifest: dict[str, Any] = {"format": FORMAT, **facts, "files": files}
        manifest["digest"] = _manifest_digest(manifest)
        temporary = self.path / (MANIFEST + ".tmp")
        with temporary.open("w") as f:
            json.dump(manifest, f, indent=1)
            f.write("\n")
            f.flush()
            os.fsync(f.fileno())
        temporary.rename(target)
        return Bundle(self.path, manifest)


class Bundle:
    """A complete, verified bundle."""

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest

    @classmethod
    def open(cls, path: Path) -> Bundle:
        """Open and verify a bundle; UserError says in one line what is wrong with it."""
        manifest = _read_manifest(path)
        listed: dict[str, dict[str, Any]] = manifest["files"]
        for name, entry in listed.items():
            _verify_file(path, name, entry)
        if extra := set(_files(path)) - listed.keys() - _NOT_RECORDED:
            raise UserError(
                f"{path}: {sorted(extra)[0]} is not part of the bundle: remove it or record again"
            )
        return cls(path, manifest)

    def json(self, name: str) -> Any:
        """Read one of the bundle's JSON files."""
        return json.loads((self.path / name).read_text())

    def text(self, name: str) -> str:
        """Read one of the bundle's text files."""
        return (self.path / name).read_text()

    def table(self, name: str, *columns: str) -> Table:
        """Read one of the bundle's tables, or only some of its columns."""
        return read_table(self.path / name, *columns)

    def amended(self, texts: Mapping[str, str], facts: Mapping[str, Any]) -> Bundle:
        """Add text files and facts, and return the bundle under its new manifest."""
        (self.path / MANIFEST).unlink()
        writer = BundleWriter.of(self.path)
        for name, text in texts.items():
            writer.add_text(name, text)
        return writer.finish({k: v for k, v in self.manifest.items() if k not in _OF_FINISH} | dict(facts))

    def has(self, name: str) -> bool:
        """Whether the bundle holds a file of that name."""
        return name in self.manifest["files"]


def find_bundles(path: Path) -> list[Path]:
    """Return the bundle folders at or below `path`; UserError when there is none."""
    found = sorted(p.parent for p in path.rglob(MANIFEST)) if path.is_dir() else []
    if not found:
        raise UserError(
            f"{path}: no complete bundle there (no {MANIFEST}): give a bundle or a results folder"
        )
    return found


def write_table(path: Path, table: Table) -> None:
    """Write columns to `path` as a NumPy `.npz`.

    Integer columns are stored as differences between neighbours (name `d:COLUMN`): event columns grow
    or repeat, so this and the lightest compression make them small at little cost.
    """
    # Made in memory: a guest reaches the bundle over a line on which each seek and small write costs.
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, column in table.items():
            with archive.open(f"d:{name}.npy", "w", force_zip64=True) as f:
                np.lib.format.write_array(f, _differences(column), allow_pickle=False)
    path.write_bytes(made.getbuffer())


def read_table(path: Path, *columns: str) -> Table:
    """Read what `write_table` wrote, or only the columns named; KeyError when there is no such column."""
    with np.load(path, allow_pickle=False) as archive:
        names = [f"d:{column}" for column in columns] or archive.files
        return {
            name.removeprefix("d:"): np.cumsum(column := archive[name], dtype=column.dtype) for name in names
        }


def _differences(column: NDArray[Any]) -> NDArray[Any]:
    # Unsigned subtraction wraps, and the running sum wraps back.
    out = column.copy()
    out[1:] -= column[:-1]
    return out


def _read_manifest(path: Path) -> dict[str, Any]:
    file = path / MANIFEST
    try:
        manifest = json.loads(file.read_text())
    except FileNotFoundError:
        raise UserError(f"{path}: not a complete bundle (no {MANIFEST}): record the case again") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be read ({error}): record the case again") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else type(manifest).__name__
        raise UserError(
            f"{file}: bundle format {found!r}, this iodiff reads {FORMAT}: use the iodiff it came from"
        )
    if manifest.get("digest") != _manifest_digest(manifest):
        raise UserError(f"{file}: changed after it was recorded (digest differs): use the original bundle")
    return manifest


def _manifest_digest(manifest: Mapping[str, Any]) -> str:
    body = {k: v for k, v in manifest.items() if k != "digest"}
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _verify_file(path: Path, name: str, entry: Mapping[str, Any]) -> None:
    file = path / name
    try:
        found = _described(file)
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}: the bundle is incomplete or unreadable") from None
    if found["size"] != entry["size"]:
        raise UserError(f"{file}: {found['size']} bytes instead of {entry['size']}: the bundle is damaged")
    if found["sha256"] != entry["sha256"]:
        raise UserError(f"{file}: changed after it was recorded (digest differs): use the original bundle")


def _files(folder: Path) -> list[str]:
    """Return the names of all files at or below `folder`, sorted."""
    found = (Path(place, name) for place, _, names in os.walk(folder) for name in names)
    return sorted(str(file.relative_to(folder)) for file in found)


def _described(file: Path) -> dict[str, Any]:
    with file.open("rb") as f:
        digest = hashlib.file_digest(f, "sha256").hexdigest()
        return {"size": f.tell(), "sha256": digest}
