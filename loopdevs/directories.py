# SPDX-License-Identifier: GPL-2.0-or-later
"""Making, taking and giving up a work directory, so that a kill at any moment leaves none unmarked.

A directory that we make appears under its name with the marker already in it, and leaves its name before the
marker goes: in between it stands beside, under a name that tells whose it is (an "aside").
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

from loopdevs.deadline import Deadline
from loopdevs.errors import LoopdevsError
from loopdevs.journal import JOURNAL_FILE
from loopdevs.marker import MARKER_FILE, Marker, claim, has_marker, lock_marker
from loopdevs.processes import process, process_start_time

__all__ = ["abandoned_aside", "absolute", "is_aside", "occupy", "vacate"]

ASIDE = re.compile(r"\.iodiff-aside-(\d+)-(\d+)-[0-9a-f]+")


def absolute(directory: Path) -> Path:
    """Return `directory` as the kernel will name it: absolute, its parents without symbolic links.

    LoopdevsError when it is a symbolic link itself.
    """
    path = directory.absolute().parent.resolve() / directory.absolute().name
    if path.is_symlink():
        raise LoopdevsError(f"{path} is a symbolic link: give the directory itself")
    return path


def occupy(directory: Path) -> tuple[Marker, int]:
    """Make `directory`, or take an empty one; return its marker and the locked descriptor.

    Missing parents are made and stay: they may be shared. LoopdevsError says why the directory is not to
    be had.
    """
    if os.path.lexists(directory):
        _check_takable(directory)
        marker = Marker.of_this_process(created=False)
        return marker, claim(directory, marker)
    directory.parent.mkdir(parents=True, exist_ok=True)
    marker = Marker.of_this_process(created=True)
    aside = _new_aside(directory)
    aside.mkdir(mode=0o700)
    descriptor = -1
    try:
        descriptor = claim(aside, marker)
        aside.rename(directory)
    except BaseException:
        if descriptor >= 0:
            (aside / MARKER_FILE).unlink()
            os.close(descriptor)
        aside.rmdir()
        raise
    return marker, descriptor


def vacate(directory: Path, *, created: bool) -> None:
    """Remove marker and journal, and the directory if `created`; LoopdevsError if other things are in it."""
    strangers = sorted({p.name for p in directory.iterdir()} - {MARKER_FILE, JOURNAL_FILE})
    if strangers:
        raise LoopdevsError(
            f"{directory} is kept: {strangers[0]} in it is not of this run: move it away and clean again"
        )
    if created:
        directory = directory.rename(_new_aside(directory))
    (directory / JOURNAL_FILE).unlink(missing_ok=True)
    (directory / MARKER_FILE).unlink()
    if created:
        directory.rmdir()


def is_aside(directory: Path) -> bool:
    """Return whether the name says that the directory was being made or given up."""
    return ASIDE.fullmatch(directory.name) is not None


def abandoned_aside(directory: Path) -> bool:
    """Return whether `directory` is an aside whose process is gone."""
    match = ASIDE.fullmatch(directory.name)
    if match is None:
        return False
    maker = process(int(match[1]))
    return maker is None or not maker.alive or maker.start_time != int(match[2])


def _new_aside(directory: Path) -> Path:
    pid = os.getpid()
    name = f".iodiff-aside-{pid}-{process_start_time(pid)}-{secrets.token_hex(4)}"
    return directory.with_name(name)


def _check_takable(directory: Path) -> None:
    if not directory.is_dir():
        raise LoopdevsError(f"{directory} is not a directory: give another work directory")
    if has_marker(directory):
        descriptor = lock_marker(directory, Deadline(0))
        if descriptor is None:
            raise LoopdevsError(f"{directory} is in use by a run that is alive: give another work directory")
        os.close(descriptor)
        raise LoopdevsError(f"{directory} holds what a killed run left: clean it first")
    if any(directory.iterdir()):
        raise LoopdevsError(f"{directory} is not empty and not ours: give another work directory")
