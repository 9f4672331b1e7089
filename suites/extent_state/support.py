# SPDX-License-Identifier: GPL-2.0-or-later
"""What the cases share: their declaration, fio jobs with the run's seed, files whose contents are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from harness import fileops
from harness.cases import Case, Experiment
from harness.fileops import DataMismatchError, FallocateMode
from harness.fiojob import FioJob, Options
from loopdevs import BtrfsLayout
from reference.fsx import pattern

__all__ = [
    "AUTO",
    "BLOCK",
    "GIB",
    "KIB",
    "MIB",
    "MIXED",
    "QUICK",
    "STRESS",
    "TrackedFile",
    "case",
    "layout",
    "run_jobs",
]

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
BLOCK = 4 * KIB
"""Sector size of the file systems under test, bytes."""

MIXED: Options = {"continue_on_error": "write", "error_dump": 1}
"""For jobs that write one file directly and otherwise: fsync may fail, for a reason that the kernel logs
(harness/record/stale_pages.py). They go on; errors that it does not explain are found in the report."""

QUICK = frozenset({"quick", "auto"})
AUTO = frozenset({"auto"})
STRESS = frozenset({"stress"})


def layout(
    *mount_options: str,
    devices: int = 1,
    size_bytes: int = 8 * GIB,
    data: str = "single",
    metadata: str = "dup",
) -> BtrfsLayout:
    """Return a layout; devices are sparse, so their size costs nothing."""
    return BtrfsLayout(
        devices=devices, size_bytes=size_bytes, data=data, metadata=metadata, mount_options=mount_options
    )


def case(
    name: str,
    title: str,
    groups: frozenset[str],
    run: Callable[[Experiment], None],
    *,
    on: BtrfsLayout | None = None,
    deadline_s: float = 120.0,
) -> Case:
    """Declare a case of this suite; without `on`, on one device."""
    return Case(f"extent_state/{name}", title, groups, on or layout(), run, deadline_s)


def run_jobs(
    exp: Experiment, name: str, sections: Mapping[str, Options], **options: str | int | None
) -> None:
    """Run fio jobs at the same time; `options` hold for all. What they ask for follows from the seed."""
    common = {"ioengine": "psync", "bs": "4k", "randseed": exp.rng.randrange(1 << 31), **options}
    exp.fio(FioJob(name, sections, common))


class TrackedFile:
    """A file whose contents are kept in memory as well, so that they can be checked.

    Each operation is a logged step. Offsets and lengths are bytes; what fallocate and cloning touch is
    aligned to blocks by the caller.
    """

    def __init__(self, exp: Experiment, name: str) -> None:
        self._exp = exp
        self.path: Path = exp.mount / name
        self.data = bytearray()

    @property
    def blocks(self) -> int:
        """Blocks that the file's size covers, the last one perhaps in part."""
        return -(-len(self.data) // BLOCK)

    def write(self, offset: int, length: int) -> None:
        """Write through the page cache."""
        self._store("write", fileops.write, offset, length)

    def direct_write(self, offset: int, length: int) -> None:
        """Write past the page cache."""
        self._store("direct_write", fileops.direct_write, offset, length)

    def map_write(self, offset: int, length: int) -> None:
        """Write through a mapping, within the file's size."""
        self._store("map_write", fileops.map_write, offset, length)

    def punch_hole(self, offset: int, length: int) -> None:
        """Deallocate a range; the size stays."""
        mode = FallocateMode.PUNCH_HOLE | FallocateMode.KEEP_SIZE
        self._exp.step("punch_hole", fileops.fallocate, self.path, mode, offset, length)
        end = min(offset + length, len(self.data))
        self.data[offset:end] = bytes(max(0, end - offset))

    def zero_range(self, offset: int, length: int) -> None:
        """Turn a range into preallocated zeroes, beyond the end too."""
        self._exp.step("zero_range", fileops.fallocate, self.path, FallocateMode.ZERO_RANGE, offset, length)
        self._extend(offset + length)
        self.data[offset : offset + length] = bytes(length)

    def preallocate(self, offset: int, length: int) -> None:
        """Allocate a range, extending the file over it."""
        self._exp.step("preallocate", fileops.fallocate, self.path, FallocateMode.ALLOCATE, offset, length)
        self._extend(offset + length)

    def preallocate_beyond(self, offset: int, length: int) -> None:
        """Allocate a range; the size stays."""
        self._exp.step(
            "preallocate_beyond", fileops.fallocate, self.path, FallocateMode.KEEP_SIZE, offset, length
        )

    def truncate(self, size: int) -> None:
        """Cut or extend to `size`."""
        self._exp.step("truncate", fileops.truncate, self.path, size)
        self._extend(size)
        del self.data[size:]

    def clone_from(self, source: TrackedFile, offset: int, length: int, target_offset: int) -> None:
        """Share a range of `source`, which ends at a block or at its end."""
        self._exp.step("reflink", fileops.reflink, source.path, self.path, offset, length, target_offset)
        piece = source.data[offset : offset + length]
        self._extend(target_offset + length)
        self.data[target_offset : target_offset + length] = piece

    def fsync(self) -> None:
        """fsync(2)."""
        self._exp.step("fsync", fileops.fsync, self.path)

    def verify(self) -> None:
        """Read the file back from the device; DataMismatchError unless it holds what was written."""
        self.fsync()
        self._exp.step(f"verify {self.path.name}", self._compare)

    def _compare(self) -> None:
        fileops.drop_cache(self.path)
        found = self.path.read_bytes()
        if found != self.data:
            raise DataMismatchError(f"{self.path.name}: {_first_difference(found, self.data)}")

    def _store(
        self, name: str, function: Callable[[Path, int, int, int], None], offset: int, length: int
    ) -> None:
        seed = self._exp.rng.randrange(1 << 31)
        self._exp.step(name, function, self.path, offset, length, seed)
        self._extend(offset + length)
        self.data[offset : offset + length] = pattern(seed, length)

    def _extend(self, size: int) -> None:
        self.data.extend(bytes(max(0, size - len(self.data))))


def _first_difference(found: bytes, expected: bytes | bytearray) -> str:
    if len(found) != len(expected):
        return f"{len(found)} bytes long instead of {len(expected)}"
    offset = next(i for i, (a, b) in enumerate(zip(found, expected, strict=True)) if a != b)
    return f"byte {offset} is {found[offset]:#04x} instead of {expected[offset]:#04x}"
