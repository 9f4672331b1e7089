# SPDX-License-Identifier: GPL-2.0-or-later
"""Holds a file of the modelled stack against the naive one, also where its disk fails.

Once something was made to fail, calls may return errors, and then:

- a read that fails, or ends before what it cannot read, changes nothing;
- after a write that fails, a byte of its range is what it was or what was to be written, and all others are
  as before;
- data that the disk did not take may be gone once its page is dropped, if fsync says so, or would.

Whatever happens, the file can be put away at the end, and nothing is left of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reference.extent_map.page_file import OUTAGE, PageCacheFile, Setting
from reference.fsx import Answer, ByteFile, Kind, Operation
from reference.machine import Bug, DataCorruption, Finding

__all__ = ["Failure", "hunt"]

READS = (Kind.READ, Kind.MAP_READ)
SYNCS = (Kind.FSYNC, Kind.REMOUNT)


@dataclass(frozen=True)
class Failure:
    """What operations on an empty file have shown."""

    operations: tuple[Operation, ...]
    """All of them; the last one showed it, or putting the file away did."""
    finding: Finding | AssertionError

    def __str__(self) -> str:
        return str(self.finding)

    @property
    def kind(self) -> str:
        """The finding's class, by which failures are told apart when they are shrunk."""
        return type(self.finding).__name__


def hunt(setting: Setting, operations: Iterable[Operation]) -> Failure | None:
    """Execute `operations` and return the first thing that is wrong, or None."""
    done: list[Operation] = []
    try:
        _Trial(setting).run(operations, done)
    except (Finding, AssertionError) as finding:
        return Failure(tuple(done), finding)
    return None


class _Trial:
    def __init__(self, setting: Setting) -> None:
        self.file = PageCacheFile(setting)
        self.model = ByteFile()
        self.told = False
        """Whether fsync has said that data may be gone."""

    def run(self, operations: Iterable[Operation], done: list[Operation]) -> None:
        for operation in operations:
            done.append(operation)
            if operation.kind in (Kind.WRITE, Kind.MAP_WRITE, Kind.TRUNCATE):
                before = bytes(self.model.data)
            expected, found = self.model.execute(operation), self.file.execute(operation)
            if found == expected:
                continue
            if isinstance(found, bytes):
                if self._ends_early(found, expected):
                    continue
                if self._may_be_gone():
                    break
                raise DataCorruption(_difference(operation, found, expected))
            self._expect_error(operation, found, expected)
            if operation.kind in SYNCS:
                self.told = True
            elif operation.kind not in READS:
                self._put_away(operation, before)
                return
        self._put_away(None, b"")

    def _expect_error(self, operation: Operation, found: Answer, expected: Answer) -> None:
        if not self.file.faulted:
            raise DataCorruption(f"{operation}: answered {_told(found)} instead of {_told(expected)}")

    def _ends_early(self, found: bytes, expected: Answer) -> bool:
        return self.file.faulted and isinstance(expected, bytes) and expected.startswith(found)

    def _may_be_gone(self) -> bool:
        """Tell whether data may be missing: dropped unwritten, and fsync says so or would."""
        return self.file.dropped and (self.told or bool(self.file.mount.mapping.error))

    def _put_away(self, failed: Operation | None, before: bytes) -> None:
        """Write the file back, forget its pages, and read it again."""
        error = self.file.execute(Operation(Kind.REMOUNT))
        if error and not self.file.faulted:
            raise Bug(f"umount fails with {error!r}")
        if error or self.told:
            return
        if failed is None:
            self._compare_all()
        elif failed.kind is not Kind.TRUNCATE:
            self._compare_after_failed_write(failed, before)

    def _compare_all(self) -> None:
        whole = Operation(Kind.READ, 0, len(self.model.data) + 1)
        found, expected = self._read_all(), self.model.execute(whole)
        if found != expected:
            raise DataCorruption(f"after remount: {_difference(whole, found, expected)}")

    def _read_all(self) -> bytes:
        whole = Operation(Kind.READ, 0, len(self.model.data) + 1)
        # The fault may come only now.
        for _ in range(OUTAGE):
            self.file.execute(whole)
        found = self.file.execute(whole)
        if isinstance(found, int):
            raise DataCorruption(f"{whole} fails again and again with {found}")
        return found

    def _compare_after_failed_write(self, failed: Operation, before: bytes) -> None:
        new = bytes(self.model.data)
        old = before.ljust(len(new), b"\0")
        found = self._read_all()
        if len(found) < len(before):
            raise DataCorruption(f"{failed} failed, and the file is shorter than before")
        for at, byte in enumerate(found):
            if byte not in (old[at], new[at]):
                raise DataCorruption(
                    f"{failed} failed: byte {at} is {byte:#04x}, was {old[at]:#04x}, was to be {new[at]:#04x}"
                )


def _difference(operation: Operation, found: Answer, expected: Answer) -> str:
    if isinstance(found, int) or isinstance(expected, int):
        return f"{operation}: answered {_told(found)} instead of {_told(expected)}"
    if len(found) != len(expected):
        return f"{operation}: {len(found)} bytes instead of {len(expected)}"
    wrong = [at for at in range(len(found)) if found[at] != expected[at]]
    first = wrong[0]
    return (
        f"{operation}: byte {operation.offset + first} is {found[first]:#04x} instead of "
        f"{expected[first]:#04x} ({len(wrong)} bytes differ)"
    )


def _told(answer: Answer) -> str:
    return str(answer) if isinstance(answer, int) else f"{len(answer)} bytes"
