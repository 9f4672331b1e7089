# SPDX-License-Identifier: GPL-2.0-or-later
"""Blocks that are damaged on their devices before a read, looked at after it, and healed."""

from __future__ import annotations

import errno
import json
import mmap
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import crc32c
import numpy as np

from reference.readahead.source import Stripe

__all__ = ["BLOCK", "CopyState", "DamagedDevices", "corruption_errs", "damage_data"]

BLOCK = 4096


class CopyState(NamedTuple):
    """A copy of a block of which at least one copy is damaged."""

    logical: int
    devid: int
    physical: int
    """Where on the device, bytes."""
    damaged: bool
    """Whether this one is."""
    before: int = 0
    """CRC-32C of what it held before."""
    after: int = 0
    """The same, after the read."""

    @property
    def stripe(self) -> Stripe:
        """The place."""
        return Stripe(self.devid, self.physical)


def damage_data(place: Stripe) -> bytes:
    """Return what damage puts there: each place has its own."""
    words = np.arange(BLOCK // 8, dtype=np.uint64) + np.uint64(place.physical * 64 + place.devid)
    return words.tobytes()


def corruption_errs(btrfs: Callable[..., str], mount: Path) -> dict[int, int]:
    """Return the devices' counts of bad checksums, by devid; `btrfs` runs the tool."""
    told = json.loads(btrfs("--format", "json", "device", "stats", mount))
    return {int(one["devid"]): int(one["corruption_errs"]) for one in told["device-stats"]}


@dataclass(frozen=True)
class DamagedDevices:
    """The files below loop devices, opened past the page cache where they have another place, by devid."""

    files: Mapping[int, int]

    @classmethod
    @contextmanager
    def opened(cls, paths: Mapping[int, Path]) -> Iterator[DamagedDevices]:
        """Open the files of devices of ours."""
        files: dict[int, int] = {}
        try:
            for devid, path in paths.items():
                files[devid] = _opened(path)
            yield cls(files)
        finally:
            for file in files.values():
                os.close(file)

    @contextmanager
    def damaged(self, copies: Sequence[CopyState]) -> Iterator[list[CopyState]]:
        """Damage copies; what is yielded tells at the end what was there before and after."""
        found: list[CopyState] = []
        originals = [self._read(copy.stripe) for copy in copies]
        for copy in copies:
            if copy.damaged:
                self._write(copy.stripe, damage_data(copy.stripe))
        yield found
        for copy, original in zip(copies, originals, strict=True):
            after = crc32c.crc32c(self._read(copy.stripe))
            found.append(copy._replace(before=crc32c.crc32c(original), after=after))
            if copy.damaged:
                self._write(copy.stripe, original)

    def _read(self, place: Stripe) -> bytes:
        with mmap.mmap(-1, BLOCK) as memory:
            os.preadv(self.files[place.devid], [memory], place.physical)
            return memory[:]

    def _write(self, place: Stripe, data: bytes) -> None:
        with mmap.mmap(-1, BLOCK) as memory:
            memory[:] = data
            os.pwritev(self.files[place.devid], [memory], place.physical)


def _opened(path: Path) -> int:
    flags = os.O_RDWR | os.O_CLOEXEC
    try:
        return os.open(path, flags | os.O_DIRECT)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # A tmpfs of 6.5 and older, where guests have their files: the page cache is all it has.
        return os.open(path, flags)
