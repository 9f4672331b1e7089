# SPDX-License-Identifier: GPL-2.0-or-later
"""Holds a file against the naive model, operation by operation."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from reference.fsx.file import ByteFile
from reference.fsx.operation import Answer, Kind, Operation

__all__ = ["FileUnderTest", "Mismatch", "check"]


class FileUnderTest(Protocol):
    """An empty file that can be operated on: of a kernel, or of a model of one."""

    def execute(self, operation: Operation) -> Answer:
        """Do it, and return the bytes read, 0 or an errno: what `ByteFile.execute` returns."""


@dataclass(frozen=True)
class Mismatch:
    """An operation that answered something else than the model."""

    operations: tuple[Operation, ...]
    """All from the empty file on; the last one is the one that differs."""
    expected: Answer
    found: Answer

    def __str__(self) -> str:
        """Return one line: the operation, and where its answer first differs."""
        return f"{self.operations[-1]}: {_difference(self.operations[-1], self.found, self.expected)}"


def check(file: FileUnderTest, model: ByteFile, operations: Iterable[Operation]) -> Mismatch | None:
    """Execute `operations` on both and return the first difference, then stop.

    Both begin empty. The whole file is read at the end, and again after REMOUNT.
    """
    done: list[Operation] = []
    for operation in operations:
        done.append(operation)
        expected, found = model.execute(operation), file.execute(operation)
        if found != expected:
            return Mismatch(tuple(done), expected, found)
    # One byte more than there is: a file that is too long shows it.
    whole = Operation(Kind.READ, 0, len(model.data) + 1)
    for operation in (whole, Operation(Kind.REMOUNT), whole):
        done.append(operation)
        expected, found = model.execute(operation), file.execute(operation)
        if found != expected:
            return Mismatch(tuple(done), expected, found)
    return None


def _difference(operation: Operation, found: Answer, expected: Answer) -> str:
    if isinstance(found, int) or isinstance(expected, int):
        return f"answered {_told(found)} instead of {_told(expected)}"
    for at, (wrong, right) in enumerate(zip(found, expected, strict=False)):
        if wrong != right:
            wrong_bytes = sum(a != b for a, b in zip(found, expected, strict=False))
            more = f" ({wrong_bytes} bytes differ)" if wrong_bytes > 1 else ""
            return f"byte {operation.offset + at} is {wrong:#04x} instead of {right:#04x}{more}"
    return f"{len(found)} bytes instead of {len(expected)}"


def _told(answer: Answer) -> str:
    if isinstance(answer, bytes):
        return f"{len(answer)} bytes"
    return errno.errorcode.get(answer, str(answer)) if answer else "success"
