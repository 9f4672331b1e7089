# SPDX-License-Identifier: GPL-2.0-or-later
"""Blocks that are damaged on their devices before a read, looked at after it, and healed."""

from __future__ import annotations

import errno
import json
import mmap
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

import crc32c
import numpy as np

from loopdevs import Failing, RotationalDevice
from reference.readahead.source import Stripe

__all__ = ["BLOCK", "CopyState", "Damage", "DamagedDevices", "damage_data", "device_stats"]

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


def device_stats(btrfs: Callable[..., str], mount: Path, name: str) -> dict[int, int]:
    """Return the devices' counts of errors of that name, by devid; `btrfs` runs the tool."""
    told = json.loads(btrfs("--format", "json", "device", "stats", mount))
    return {int(one["devid"]): int(one[name]) for one in told["device-stats"]}


class DamagedDevices:
    """The files below loop devices, opened past the page cache where they have another place, by devid."""

    def __init__(self, files: Mapping[int, int], disks: Mapping[int, RotationalDevice]) -> None:
        """Use `opened`; `disks` are what can be told to fail."""
        self._files = files
        self._disks = disks
        self._originals: dict[CopyState, bytes] = {}

    @classmethod
    @contextmanager
    def opened(
        cls, paths: Mapping[int, Path], disks: Mapping[int, RotationalDevice] | None = None
    ) -> Iterator[DamagedDevices]:
        """Open the files of devices of ours; at the end all that was damaged is healed."""
        files: dict[int, int] = {}
        try:
            for devid, path in paths.items():
                files[devid] = _opened(path)
            devices = cls(files, disks or {})
            try:
                yield devices
            finally:
                devices.heal()
        finally:
            for file in files.values():
                os.close(file)

    def damage(self, copies: Sequence[CopyState]) -> None:
        """Heal what was damaged before, and damage these."""
        self.heal()
        self._originals = {copy: self._read(copy.stripe) for copy in copies}
        for copy in copies:
            if copy.damaged:
                self._write(copy.stripe, damage_data(copy.stripe))
            if copy.damaged is Damage.UNREADABLE:
                self._disks[copy.devid].fail(copy.physical, BLOCK, Failing.READS)

    def look(self) -> list[CopyState]:
        """Return the copies that were damaged last, with what was there before and is there now."""
        return [
            copy._replace(before=crc32c.crc32c(original), after=crc32c.crc32c(self._read(copy.stripe)))
            for copy, original in self._originals.items()
        ]

    def heal(self) -> None:
        """Put back what was there."""
        for copy, original in self._originals.items():
            if copy.damaged is Damage.UNREADABLE:
                self._disks[copy.devid].fail(copy.physical, BLOCK, Failing.NOTHING)
            # The others too: without checksums a corrupt copy can have been written over a good one.
            self._write(copy.stripe, original)
        self._originals = {}

    def _read(self, place: Stripe) -> bytes:
        with mmap.mmap(-1, BLOCK) as memory:
            os.preadv(self._files[place.devid], [memory], place.physical)
            return memory[:]

    def _write(self, place: Stripe, data: bytes) -> None:
        with mmap.mmap(-1, BLOCK) as memory:
            memory[:] = data
            os.pwritev(self._files[place.devid], [memory], place.physical)


def _opened(path: Path) -> int:
    flags = os.O_RDWR | os.O_CLOEXEC
    try:
        return os.open(path, flags | os.O_DIRECT)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # A tmpfs of 6.5 and older, where guests have their files: the page cache is all it has.
        return os.open(path, flags)
