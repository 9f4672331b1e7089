# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that list cases with reasons: cases that are not to be run, or that are known to fail.

A line is `CASE # REASON`, or `CASE@KERNEL # REASON` for one kernel. Both may have the wildcards of shells;
the kernel is named by its label, such as `host` or `debian-5.10`. A reason is due: best a link to a report.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from harness.errors import UserError

__all__ = ["EMPTY", "CaseList"]


@dataclass(frozen=True)
class _Entry:
    case: str
    kernel: str
    reason: str


@dataclass(frozen=True)
class CaseList:
    """Cases, each with a reason."""

    entries: tuple[_Entry, ...] = ()

    @classmethod
    def read(cls, paths: Iterable[Path], known: Iterable[str]) -> CaseList:
        """Read files; UserError for one that cannot be read, a line that cannot, or a case not `known`."""
        names = list(known)
        return cls(tuple(entry for path in paths for entry in _entries(path, names)))

    @classmethod
    def of(cls, reasons: Mapping[str, Mapping[str, str]]) -> CaseList:
        """Make it of reasons by kernel and case."""
        return cls(
            tuple(
                _Entry(case, kernel, why) for kernel, cases in reasons.items() for case, why in cases.items()
            )
        )

    def on(self, kernel: str, cases: Iterable[str]) -> dict[str, str]:
        """Return the reasons of those of `cases` that are listed for a kernel."""
        found = {case: self.reason(case, kernel) for case in cases}
        return {case: reason for case, reason in found.items() if reason}

    def reason(self, case: str, kernel: str) -> str | None:
        """Return why the case is listed for the kernel of this label; None if it is not."""
        for entry in self.entries:
            if fnmatchcase(case, entry.case) and fnmatchcase(kernel, entry.kernel):
                return entry.reason
        return None


EMPTY = CaseList()
"""Lists no case."""


def _entries(path: Path, known: list[str]) -> list[_Entry]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is no text: give lines `CASE # REASON`") from None
    entries = []
    for number, line in enumerate(lines, 1):
        names, _, reason = (part.strip() for part in line.partition("#"))
        if not names:
            continue
        if not reason or len(names.split()) > 1:
            raise UserError(f"{path}, line {number}: write it as `CASE # REASON` or `CASE@KERNEL # REASON`")
        case, _, kernel = names.partition("@")
        if not any(fnmatchcase(name, case) for name in known):
            raise UserError(f"{path}, line {number}: no case is called {case}: see ./iodiff list")
        entries.append(_Entry(case, kernel or "*", reason))
    return entries
