# SPDX-License-Identifier: GPL-2.0-or-later
"""Blocks that are damaged on their devices before a read, looked at after it, and healed."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

import crc32c
import numpy as np

from loopdevs import Failing, RotationalDevice
from reference.readahead.source import Stripe

__all__ = ["BLOCK", "CopyState", "Damage", "DamagedDevices", "damage_data"]

BLOCK = 4096


class Damage(IntEnum):
    """What is done to a copy of a block before a read. There are other data there in any case."""

    NONE = 0
    CORRUPT = 1
    UNREADABLE = 2
    """Reads of it fail, too, as long as it is not healed; writes do not."""


class CopyState(NamedTuple):
    """A copy of a block of which at least one copy is damaged."""

    logical: int
    devid: int
    physical: int
    """Where on the device, bytes."""
    damaged: Damage
    """What is done to this one."""
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


@dataclass(frozen=True)
class DamagedDevices:
    """The files below loop devices, opened past the page cache, by devid."""

    files: Mapping[int, int]
    disks: Mapping[int, RotationalDevice]
    """What can be told to fail; none for devices that cannot."""

    @classmethod
    @contextmanager
    def opened(
        cls, paths: Mapping[int, Path], disks: Mapping[int, RotationalDevice] | None = None
    ) -> Iterator[DamagedDevices]:
        """Open the files of devices of ours."""
        files: dict[int, int] = {}
        try:
            for devid, path in paths.items():
                files[devid] = os.open(path, os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC)
            yield cls(files, disks or {})
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
            if copy.damaged is Damage.UNREADABLE:
                self.disks[copy.devid].fail(copy.physical, BLOCK, Failing.READS)
        yield found
        for copy, original in zip(copies, originals, strict=True):
            after = crc32c.crc32c(self._read(copy.stripe))
            found.append(copy._replace(before=crc32c.crc32c(original), after=after))
            if copy.damaged is Damage.UNREADABLE:
                self.disks[copy.devid].fail(copy.physical, BLOCK, Failing.NOTHING)
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
