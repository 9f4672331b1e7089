# SPDX-License-Identifier: GPL-2.0-or-later
"""Machine code of compiled models, kept in the user's cache from one process to the next."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from harness.user_cache import user_cache

__all__ = ["keep_compiled"]

ROOT = Path(__file__).parent.parent
SOURCES = ("reference/disks", "reference/readahead")
"""Where compiled functions are, and those that they call."""


def keep_compiled() -> Path | None:
    """Keep machine code from now on, and return where; None, and it is not kept, if nothing can be written.

    To be called before `reference.readahead.scale` is imported. The folder is another for any other source:
    numba notices changes of a file, but not of what functions in other files are called by it.
    """
    folder = user_cache() / "numba" / _digest()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    if not os.access(folder, os.W_OK):
        return None
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    if numba := sys.modules.get("numba"):
        numba.config.reload_config()
    return folder


def _digest() -> str:
    digest = hashlib.sha256()
    for source in SOURCES:
        for file in sorted((ROOT / source).rglob("*.py")):
            if not file.name.startswith("test_"):
                digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
