# SPDX-License-Identifier: GPL-2.0-or-later
"""What fio told of the reads of a job."""

from __future__ import annotations

from typing import NamedTuple

from harness.errors import InfrastructureError
from harness.fio import FioResult

__all__ = ["JobTotals"]


class JobTotals(NamedTuple):
    """A job's reads, all its processes together."""

    phase: int
    """Of the case (`Call.phase`)."""
    name: str
    reads: int
    bytes: int

    @classmethod
    def of(cls, phase: int, name: str, result: FioResult) -> JobTotals:
        """Add up what fio reports; InfrastructureError if it wrote."""
        if any(job["write"]["total_ios"] for job in result.raw["jobs"]):
            raise InfrastructureError(f"fio job {name} wrote, and should have read only")
        jobs = [job["read"] for job in result.raw["jobs"]]
        reads, length = (sum(job[key] for job in jobs) for key in ("total_ios", "io_bytes"))
        return cls(phase, name, reads, length)
