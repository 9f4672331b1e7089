# SPDX-License-Identifier: GPL-2.0-or-later
"""A file system with this Python and its packages, as a drive for guests.

Over 9p every look at a file is a question to the host, and importing asks some thousand: 18 s on an emulated
5.10 (whose 9p reads page by page as well), 8 s on later kernels. From a drive of its own it takes half. It is
made once for each state of the packages, and kept in the user's cache.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.user_cache import user_cache

__all__ = ["SERIAL", "PythonImage", "python_image"]

SERIAL = "iodiff-python"
"""Of the virtio drive, by which the guest finds it."""

LEFT_OUT = ("dist-packages", "idlelib", "site-packages", "test")
"""Parts of the standard library's folder that no guest needs, the packages of others among them."""
KEPT_S = 7 * 24 * 3600
"""How long an image stays that nobody uses."""
BLOCK = 4096
FEATURES = "none,extent,filetype,large_file,sparse_super"
"""Of ext4: what every kernel that iodiff knows can read."""


@dataclass(frozen=True)
class PythonImage:
    """The image, and the folders whose contents it has, as /0, /1 and so on."""

    file: Path
    folders: tuple[Path, ...]


def python_image() -> PythonImage | None:
    """Return the image, made if need be (some seconds, half a gigabyte); None where it cannot be made.

    Guests then read Python over 9p, as they do when their kernel lacks ext4 or virtio_blk.
    """
    folders = _folders()
    tool = shutil.which("mke2fs", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")
    cache = user_cache() / "python"
    if tool is None:
        return None
    file = cache / f"{_state(folders)}.img"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        _remove_old(cache)
        if not file.exists():
            _make(tool, folders, file)
        os.utime(file)
    except (OSError, subprocess.CalledProcessError):
        return None
    return PythonImage(file, folders)


def _folders() -> tuple[Path, ...]:
    return (Path(sysconfig.get_path("stdlib")), Path(sys.prefix))


def _left_out(folders: Sequence[Path]) -> Callable[[str, list[str]], set[str]]:
    """Return what shutil.copytree asks for the names to leave out of a folder."""
    library = str(folders[0])
    return lambda folder, names: set(LEFT_OUT) & set(names) if folder == library else set()


def _files(folders: Sequence[Path]) -> Iterator[Path]:
    left_out = _left_out(folders)
    for top in folders:
        for folder, below, names in os.walk(top):
            below[:] = sorted(set(below) - left_out(folder, below))
            yield from (Path(folder, name) for name in sorted(names))


def _state(folders: Sequence[Path]) -> str:
    """Return a digest of the names, sizes and times of all files."""
    digest = hashlib.sha256()
    for file in _files(folders):
        status = file.lstat()
        digest.update(f"{file}\0{status.st_size}\0{status.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def _make(tool: str, folders: Sequence[Path], file: Path) -> None:
    """Write the image, whole or not at all."""
    with TemporaryDirectory(prefix="making-", dir=file.parent) as scratch:
        stage = Path(scratch, "stage")
        for number, folder in enumerate(folders):
            shutil.copytree(folder, stage / str(number), symlinks=True, ignore=_left_out(folders))
        image = Path(scratch, "image")
        # Each file takes whole blocks and an inode; a tenth more for the folders and what ext4 keeps itself.
        blocks = sum(-(-f.lstat().st_size // BLOCK) + 1 for f in _files(folders)) * 11 // 10 + 4096
        options = ["-q", "-t", "ext4", "-O", FEATURES, "-b", str(BLOCK), "-i", str(2 * BLOCK), "-m", "0"]
        subprocess.run(
            [tool, *options, "-d", stage, image, str(blocks)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
        )
        image.rename(file)


def _remove_old(cache: Path) -> None:
    """Remove images that nobody has asked for in a while; a guest that still has one open keeps it."""
    for image in cache.glob("*.img"):
        with suppress(OSError):
            if image.stat().st_mtime < time.time() - KEPT_S:
                image.unlink()
