# SPDX-License-Identifier: GPL-2.0-or-later
"""The figures of fio's own JSON, and what its processes cost, for people to read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.bundle import Bundle
from reports.text import UNKNOWN, dig

__all__ = ["FioRow", "TaskRow", "fio_rows", "task_rows"]

TASKSTATS = "taskstats.json"


@dataclass(frozen=True)
class FioRow:
    """One direction of one fio job."""

    job: str
    direction: str
    """read, write or trim."""
    bw_bytes: float | None
    """Bytes a second."""
    iops: float | None
    p50_ns: float | None
    """Median completion latency, ns."""
    p99_ns: float | None
    """99th percentile of completion latency, ns."""


@dataclass(frozen=True)
class TaskRow:
    """The processes of one fio job together; None where the kernel did not say."""

    job: str
    processes: int
    cpu_user_s: float | None
    cpu_system_s: float | None
    blkio_delay_s: float | None
    """Time spent waiting for block I/O, s."""
    blkio_count: int | None


def fio_rows(bundle: Bundle) -> list[FioRow]:
    """Return a row for each job and direction that did any I/O, in the order of the job files."""
    names = sorted(
        name for name in bundle.manifest["files"] if name.startswith("fio/") and name.endswith(".json")
    )
    return [row for name in names for job in _jobs(bundle.text(name)) for row in _job_rows(job)]


def _jobs(text: str) -> list[Any]:
    # fio may print notes before its JSON; a job that died may leave no JSON at all.
    try:
        jobs = dig(json.JSONDecoder().raw_decode(text, text.find("{"))[0], "jobs")
    except ValueError:
        return []
    return jobs if isinstance(jobs, list) else []


def _job_rows(job: Any) -> Iterator[FioRow]:
    for direction in ("read", "write", "trim"):
        figures = dig(job, direction)
        if not dig(figures, "total_ios"):
            continue
        percentiles = dig(figures, "clat_ns", "percentile")
        yield FioRow(
            str(dig(job, "jobname") or UNKNOWN),
            direction,
            _number(figures, "bw_bytes"),
            _number(figures, "iops"),
            _number(percentiles, "50.000000"),
            _number(percentiles, "99.000000"),
        )


def _number(data: Any, key: str) -> float | None:
    value = dig(data, key)
    return float(value) if isinstance(value, int | float) else None


def task_rows(bundle: Bundle) -> list[TaskRow]:
    """Return a row for each fio job that was accounted for."""
    jobs = bundle.json(TASKSTATS) if bundle.has(TASKSTATS) else []
    return [_task_row(job) for job in jobs if isinstance(job, Mapping)] if isinstance(jobs, list) else []


def _task_row(job: Mapping[str, Any]) -> TaskRow:
    listed = job.get("processes")
    processes = listed if isinstance(listed, list) else []
    # A kernel that does not account for delays reports zeroes, which would read as no delay at all.
    delays = processes if job.get("delay_accounting", True) else [None]
    return TaskRow(
        str(job.get("job") or UNKNOWN),
        len(processes),
        _seconds(_sum(processes, "cpu_user_us"), 1e6),
        _seconds(_sum(processes, "cpu_system_us"), 1e6),
        _seconds(_sum(delays, "blkio_delay_ns"), 1e9),
        _sum(delays, "blkio_count"),
    )


def _seconds(value: int | None, units: float) -> float | None:
    return None if value is None else value / units


def _sum(processes: list[Any], key: str) -> int | None:
    # One process that is unknown makes the sum unknown: a smaller number would be a lie.
    values = [value for process in processes if isinstance(value := dig(process, key), int)]
    return sum(values) if values and len(values) == len(processes) else None
