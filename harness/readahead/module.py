# SPDX-License-Identifier: GPL-2.0-or-later
"""The module of `harness/guest/reada_module`, built for a kernel and kept in the user's cache.

<cache>/iodiff/readahead/RELEASE-DIGEST/iodiff_reada.ko   DIGEST is that of the module's sources
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from harness.errors import UserError
from harness.kernels.headers import Headers
from harness.kernels.tools import complaint, run
from harness.user_cache import user_cache

__all__ = ["NAME", "build", "module_file"]

NAME = "iodiff_reada"
SOURCES = Path(__file__).resolve().parents[1] / "guest" / "reada_module"


def module_file(release: str) -> Path:
    """Return where the module for this kernel release is, once it is built."""
    return user_cache().absolute() / "readahead" / f"{release}-{_digest()}" / f"{NAME}.ko"


def build(release: str, headers: Headers) -> Path:
    """Build the module against `headers` and return its file; UserError where the compiler refuses."""
    target = module_file(release)
    target.parent.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="making-", dir=target.parent.parent) as scratch:
        folder = Path(scratch) / "module"
        shutil.copytree(SOURCES, folder)
        arguments = [f"M={folder}", f"BTRFS_SOURCE={headers.btrfs}", "CC=gcc", "modules"]
        done = run("make", "-C", headers.build, *arguments)
        made = folder / f"{NAME}.ko"
        if done.returncode or not made.exists():
            raise UserError(f"the readahead module does not build for {release}: {_error(done.stderr)}")
        target.parent.mkdir(exist_ok=True)
        # In one step: a guest may look for it now.
        made.rename(target)
    return target


def _digest() -> str:
    text = b"".join(path.read_bytes() for path in sorted(SOURCES.iterdir()) if path.is_file())
    return hashlib.sha256(text).hexdigest()[:16]


def _error(stderr: str) -> str:
    lines = [line for line in stderr.splitlines() if "error:" in line]
    return lines[0] if lines else complaint(stderr)
