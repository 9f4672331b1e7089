# SPDX-License-Identifier: GPL-2.0-or-later
"""Copying what is in a sparse file to another."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["copy_data"]


def copy_data(source: Path, target: Path) -> None:
    """Copy what `source` has to the same places of `target`, which has holes there; OSError when it fails."""
    with source.open("rb") as from_file, target.open("r+b") as to_file:
        for begin, end in _pieces(from_file.fileno()):
            place = os.lseek(to_file.fileno(), begin, os.SEEK_SET)
            while place < end:
                # Not copy_file_range, which refuses to go from one kind of file system to another.
                place += os.sendfile(to_file.fileno(), from_file.fileno(), place, end - place)


def _pieces(descriptor: int) -> Iterator[tuple[int, int]]:
    """Yield where the data begin and end."""
    end = 0
    while True:
        try:
            begin = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        end = os.lseek(descriptor, begin, os.SEEK_HOLE)
        yield begin, end
