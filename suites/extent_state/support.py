# SPDX-License-Identifier: GPL-2.0-or-later
"""What the cases share: their declaration, fio jobs with the run's seed, files whose contents are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from harness import fileops
from harness.cases import Case, Experiment
from harness.fileops import DataMismatchError
from harness.fiojob import FioJob, Options
from harness.realfile import RealFile
from loopdevs import BtrfsLayout
from reference.fsx import Answer, ByteFile, Kind, Mismatch, Operation

__all__ = [
    "AUTO",
    "BLOCK",
    "GIB",
    "KIB",
    "MIB",
    "MIXED",
    "QUICK",
    "STRESS",
    "LoggedFile",
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

_READS = {Kind.READ, Kind.DIRECT_READ, Kind.MAP_READ}


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


class LoggedFile:
    """A file of the kernel each of whose operations is a step; implements `reference.fsx.FileUnderTest`."""

    def __init__(self, exp: Experiment, name: str) -> None:
        self._exp = exp
        self._name = name
        self.real = RealFile(exp.mount / name, BLOCK, exp.remount)

    def execute(self, operation: Operation) -> Answer:
        """See `FileUnderTest.execute`."""
        # Whoever reads through this class compares what was read, so such a step verifies.
        verify = "verify " if operation.kind in _READS else ""
        answer: Answer = self._exp.step(
            f"{verify}{operation.kind} {self._name}", self.real.execute, operation
        )
        return answer


class TrackedFile:
    """A file whose contents are kept in memory as well, so that they can be checked.

    Each operation is a logged step. Offsets and lengths are bytes; what is cloned is aligned to blocks by the
    caller. DataMismatchError if the kernel answers something else than it should, OSError for what says
    nothing of that (no space, an I/O error).
    """

    def __init__(self, exp: Experiment, name: str) -> None:
        self._exp = exp
        self._file = LoggedFile(exp, name)
        self._model = ByteFile(BLOCK)
        self.path: Path = self._file.real.path

    @property
    def data(self) -> bytearray:
        """What the file has to hold."""
        return self._model.data

    @property
    def blocks(self) -> int:
        """Blocks that the file's size covers, the last one perhaps in part."""
        return -(-len(self.data) // BLOCK)

    def write(self, offset: int, length: int) -> None:
        """Write through the page cache."""
        self._write(Kind.WRITE, offset, length)

    def direct_write(self, offset: int, length: int) -> None:
        """Write past the page cache, whole blocks."""
        self._write(Kind.DIRECT_WRITE, offset, length)

    def map_write(self, offset: int, length: int) -> None:
        """Write through a mapping, within the file's size."""
        self._write(Kind.MAP_WRITE, offset, length)

    def punch_hole(self, offset: int, length: int) -> None:
        """Deallocate a range; the size stays."""
        self._execute(Operation(Kind.PUNCH_HOLE, offset, length))

    def zero_range(self, offset: int, length: int) -> None:
        """Turn a range into preallocated zeroes, beyond the end too."""
        self._execute(Operation(Kind.ZERO_RANGE, offset, length))

    def preallocate(self, offset: int, length: int) -> None:
        """Allocate a range, extending the file over it."""
        self._execute(Operation(Kind.ALLOCATE, offset, length))

    def preallocate_beyond(self, offset: int, length: int) -> None:
        """Allocate a range; the size stays."""
        self._execute(Operation(Kind.RESERVE, offset, length))

    def truncate(self, size: int) -> None:
        """Cut or extend to `size`."""
        self._execute(Operation(Kind.TRUNCATE, size))

    def fsync(self) -> None:
        """fsync(2)."""
        self._execute(Operation(Kind.FSYNC))

    def clone_from(self, source: TrackedFile, offset: int, length: int, target_offset: int) -> None:
        """Share a range of `source`, which ends at a block or at its end."""
        self._exp.step("reflink", fileops.reflink, source.path, self.path, offset, length, target_offset)
        self._model.store(target_offset, source.data[offset : offset + length])

    def verify(self) -> None:
        """Read the file back from the device; DataMismatchError unless it holds what was written."""
        self.fsync()
        self._exp.step(f"verify {self.path.name}", self._compare)

    def _compare(self) -> None:
        fileops.drop_cache(self.path)
        # One byte more than there is: a file that is too long shows it.
        whole = Operation(Kind.READ, 0, len(self.data) + 1)
        self._hold_against_model(whole, self._file.real.execute(whole))

    def _write(self, kind: Kind, offset: int, length: int) -> None:
        self._execute(Operation(kind, offset, length, seed=self._exp.rng.randrange(1 << 31)))

    def _execute(self, operation: Operation) -> None:
        # The kernel first: what it has no space for does not happen.
        self._hold_against_model(operation, self._file.execute(operation))

    def _hold_against_model(self, operation: Operation, found: Answer) -> None:
        expected = self._model.execute(operation)
        if found != expected:
            raise DataMismatchError(f"{self.path.name}: {Mismatch((operation,), expected, found)}")
