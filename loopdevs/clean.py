# SPDX-License-Identifier: GPL-2.0-or-later
"""Undoing what killed runs left."""

from __future__ import annotations

import os
from pathlib import Path

from loopdevs.deadline import Deadline
from loopdevs.directories import abandoned_aside, absolute, is_aside, vacate
from loopdevs.errors import LoopdevsError
from loopdevs.journal import JOURNAL_FILE, parse_journal
from loopdevs.ledger import UNDO_DEADLINE_S
from loopdevs.marker import has_marker, lock_marker, read_marker
from loopdevs.scene import Scene
from loopdevs.undo import CleanReport, undo_all

__all__ = ["clean"]


def clean(root: Path, directory: Path | None = None, *, deadline_s: float = UNDO_DEADLINE_S) -> CleanReport:
    """Undo what killed runs left in `directory`, or else in the directories directly in `root`.

    Runs that are alive are skipped, and so, in `root`, is what does not bear our marker. What is still busy
    is waited for, up to `deadline_s` in each directory. NotOursError when `directory` has no marker or
    belongs to another user, LoopdevsError when it is a symbolic link. Doing it again does no harm.
    """
    if directory is not None:
        target = absolute(directory)
        return _clean_directory(target, deadline_s) if os.path.lexists(target) else CleanReport()
    report = CleanReport()
    for target in _left_in(root):
        try:
            report += _clean_directory(target, deadline_s)
        except LoopdevsError as error:
            report += CleanReport(failed=(str(error),))
    return report


def _left_in(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    children = [path for path in sorted(root.resolve().iterdir()) if path.is_dir() and not path.is_symlink()]
    # Somebody is at an aside right now unless it is abandoned.
    return [path for path in children if (abandoned_aside(path) if is_aside(path) else has_marker(path))]


def _clean_directory(directory: Path, deadline_s: float) -> CleanReport:
    if abandoned_aside(directory) and not any(directory.iterdir()):
        directory.rmdir()
        return CleanReport(undone=(f"removed {directory}",))
    deadline = Deadline(deadline_s)
    lock = lock_marker(directory, deadline)
    if lock is None:
        return CleanReport(skipped=(f"{directory} is in use by a run that is alive",))
    try:
        return _clean_locked(directory, lock, deadline)
    finally:
        os.close(lock)


def _clean_locked(directory: Path, lock: int, deadline: Deadline) -> CleanReport:
    journal = directory / JOURNAL_FILE
    text = journal.read_text(errors="replace") if journal.is_file() else ""
    entries, refused = parse_journal(text)
    marker = read_marker(lock)
    report = CleanReport(failed=tuple(refused))
    if marker is not None:
        report += undo_all(entries, Scene.of(directory, marker, entries), deadline)
    elif text:
        report += CleanReport(failed=(f"{directory}: the marker is damaged, nothing was touched",))
    if report.failed:
        return report
    try:
        vacate(directory, created=marker.created if marker else is_aside(directory))
    except LoopdevsError as error:
        return report + CleanReport(failed=(str(error),))
    return report + CleanReport(undone=(f"gave up {directory}",))
