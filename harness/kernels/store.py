# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels kept in the user's cache: one folder each, which is there whole or not at all.

<cache>/iodiff/kernels/LABEL/kernel.json   what it is and where it comes from
                             LABEL/tree/   image and modules, laid out as on a machine
                             .work/LABEL/  what a fetch needs; a later one goes on from there
                             .work/LABEL.lock
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.kernels.bzimage import image_release
from harness.kernels.kernel import Kernel, modules_folder
from harness.kernels.tools import Progress, depmod

__all__ = ["Entry", "cached", "entries", "folder", "full", "kept", "locked", "publish", "remove", "scratch"]

MANIFEST = "kernel.json"
TREE = "tree"


@dataclass(frozen=True)
class Entry:
    """What kernel.json says of a kernel in the cache."""

    name: str
    """As the user gave it; of files, the whole path."""
    label: str
    release: str
    image: str
    """Path of the bootable image below the tree."""
    config: str | None
    """Path of the configuration below the tree, if there is one."""
    packages: dict[str, str]
    """Debian packages it was unpacked from, with their versions."""
    origin: str
    """Digest of the files it was made from; the kernel is made anew when they are others."""
    fetched: str
    """When, in UTC."""
    size: int
    """Bytes of all its files."""


def folder() -> Path:
    """Return the folder of all kernels; it need not exist."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache.absolute() / "iodiff" / "kernels"


def cached(label: str) -> Entry | None:
    """Return what is kept under `label`; None when nothing is, or nothing that we have written."""
    try:
        fields: dict[str, Any] = json.loads((folder() / label / MANIFEST).read_text())
        entry = Entry(**fields)
    except (OSError, ValueError, TypeError):
        return None
    return entry if entry.label == label else None


def entries() -> list[Entry]:
    """Return what is kept, by label."""
    try:
        labels = sorted(path.name for path in folder().iterdir())
    except OSError:
        return []
    return [entry for label in labels if (entry := cached(label)) is not None]


def kept(entry: Entry, name: str) -> Kernel:
    """Return the kernel of a cache entry, under the `name` it is asked for."""
    tree = folder() / entry.label / TREE
    config = tree / entry.config if entry.config else None
    return Kernel(name, entry.label, entry.release, tree / entry.image, tree, config)


@contextmanager
def locked(label: str, progress: Progress) -> Iterator[None]:
    """Let nobody else change what is kept under `label`; waits for who is at it."""
    work = folder() / ".work"
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock = (work / f"{label}.lock").open("w")
    except OSError as error:
        raise UserError(f"no kernel can be kept in {folder()}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(f"waiting for another iodiff that is at work on {label}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def scratch(label: str) -> Iterator[Path]:
    """Give an empty folder to build a tree in; it is gone at the end, unless it was published.

    Raises UserError when the disk fills up meanwhile.
    """
    tree = folder() / ".work" / label / TREE
    shutil.rmtree(tree, ignore_errors=True)
    try:
        tree.mkdir(parents=True)
        yield tree
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise full() from error
    finally:
        shutil.rmtree(tree, ignore_errors=True)
        with suppress(OSError):
            tree.parent.rmdir()  # stays when it holds a download to go on with


def full() -> UserError:
    """Return the error for a cache with no room left."""
    return UserError(f"no space is left for kernels in {folder()}: free some, or set XDG_CACHE_HOME")


def publish(tree: Path, name: str, label: str, origin: str, packages: dict[str, str] | None = None) -> Entry:
    """Make the tree in a scratch folder the kernel of `label`, in the place of an earlier one.

    Raises UserError for a tree without image or without its modules, of which nothing is kept.
    """
    image = _image(tree, name)
    release = image_release(image)
    if modules_folder(tree, release) is None:
        raise UserError(f"{name}: the image is of {release}, for which there are no modules")
    depmod(tree, release)
    configs = (tree / "boot" / f"config-{release}", tree / f"usr/lib/modules/{release}/config")
    config = next((str(path.relative_to(tree)) for path in configs if path.exists()), None)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    place = str(image.relative_to(tree))
    entry = Entry(name, label, release, place, config, packages or {}, origin, now, _size(tree))
    whole = tree.with_name("whole")
    shutil.rmtree(whole, ignore_errors=True)
    whole.mkdir()
    (whole / MANIFEST).write_text(json.dumps(asdict(entry), indent=1) + "\n")
    tree.rename(whole / TREE)
    _discard(label)
    whole.rename(folder() / label)
    return entry


def remove(label: str) -> Entry:
    """Remove what is kept under `label` and return what it was; UserError when that is nothing of ours."""
    entry = cached(label)
    if entry is None:
        raise UserError(
            f"no kernel {label} is kept in {folder()}: `iodiff kernels list` shows those that are"
        )
    _discard(label)
    return entry


def _discard(label: str) -> None:
    # Out of sight in one step: whatever interrupts the rest, no half of it is taken for a kernel.
    gone = folder() / ".work" / f"{label}.gone"
    shutil.rmtree(gone, ignore_errors=True)
    if (folder() / label).exists():
        (folder() / label).rename(gone)
        shutil.rmtree(gone)


def _image(tree: Path, name: str) -> Path:
    images = sorted([*tree.glob("boot/vmlinuz-*"), *tree.glob("usr/lib/modules/*/vmlinuz")])
    if not images:
        raise UserError(f"{name}: there is no kernel image in it")
    return images[0]


def _size(tree: Path) -> int:
    return sum(path.lstat().st_size for path in tree.rglob("*"))
