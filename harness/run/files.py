# SPDX-License-Identifier: GPL-2.0-or-later
"""The files of a run besides its bundles."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from harness.bundle import VERDICT_FILE
from harness.errors import UserError
from harness.verdicts import CaseVerdict

__all__ = ["RUN_FILE", "run_folder", "save_verdict", "write_json"]

RUN_FILE = "run.json"


def save_verdict(folder: Path, verdict: CaseVerdict) -> None:
    """Write the verdict beside the bundle's files, whole or not at all; UserError when that fails."""
    write_json(folder / VERDICT_FILE, verdict.to_json())


def write_json(file: Path, data: dict[str, Any]) -> None:
    """Write `data` to `file`, whole or not at all; UserError when that fails."""
    temporary = file.with_name(file.name + ".tmp")
    try:
        temporary.write_text(json.dumps(data, indent=1) + "\n")
        temporary.rename(file)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise UserError(f"{file}: cannot be written: {error.strerror}") from None


@contextmanager
def run_folder(out: Path, *, resumed: bool = False) -> Iterator[None]:
    """Make the run folder, and take it away again if nothing came into it; or go on in one that is there."""
    if not resumed and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: there is something already: choose another --out")
    made = [p for p in (out, *out.parents) if not p.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{out}: cannot be made ({os.strerror(error.errno or 0)}): choose another --out"
        ) from None
    try:
        yield
    finally:
        for folder in made:
            if any(folder.iterdir()):
                break
            folder.rmdir()
