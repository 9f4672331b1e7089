# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs fio and reads its JSON report."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.errors import InfrastructureError, UserError
from harness.fileops import DataMismatchError
from harness.fiojob import FioJob

__all__ = [
    "MINIMUM_FIO",
    "FioDirection",
    "FioJob",
    "FioJobResult",
    "FioResult",
    "fio_version",
    "run_fio",
]

MINIMUM_FIO = (3, 28)
"""Oldest fio whose options and JSON are understood."""

_GRACE_S = 5.0
_ERROR = re.compile(r"io_u error on file .*: ([^:]+): (\w+) offset=")
_SYNCS = frozenset({"sync", "datasync", "sync_file_range"})
_INSTALL = "install it with 'apt-get install fio', or put a newer one first in PATH"


@dataclass(frozen=True)
class FioDirection:
    """What one job did in one direction."""

    io_bytes: int
    """Bytes transferred."""
    bw_bytes: int
    """Bandwidth, bytes per second."""
    iops: float
    """Operations per second."""
    runtime_ms: int
    """Time the direction was active, ms."""
    clat_p50_ns: int | None
    """Median completion latency, ns; None without operations."""
    clat_p99_ns: int | None
    """99th percentile of the completion latency, ns; None without operations."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FioDirection:
        """Read `read`, `write` or `trim` of a job in fio's JSON."""
        percentile = data.get("clat_ns", {}).get("percentile", {})
        return cls(
            io_bytes=data["io_bytes"],
            bw_bytes=data["bw_bytes"],
            iops=data["iops"],
            runtime_ms=data["runtime"],
            clat_p50_ns=percentile.get("50.000000"),
            clat_p99_ns=percentile.get("99.000000"),
        )


@dataclass(frozen=True)
class FioJobResult:
    """One section's outcome (with `group_reporting`, one group's)."""

    name: str
    read: FioDirection
    write: FioDirection
    trim: FioDirection
    error: int
    """errno of the first error that ended the job, or 0."""
    total_errors: int
    """Errors counted, those that `continue_on_error` let pass included."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FioJobResult:
        """Read one entry of `jobs` in fio's JSON."""
        read, write, trim = (FioDirection.from_json(data[d]) for d in ("read", "write", "trim"))
        error = data["error"]
        return cls(data["jobname"], read, write, trim, error, data.get("total_err", int(error != 0)))


@dataclass(frozen=True)
class FioResult:
    """fio's report of one job file."""

    version: str
    jobs: tuple[FioJobResult, ...]
    raw: Mapping[str, Any]
    """fio's JSON, whole."""
    remark: str = ""
    """Which errors were let pass, and why."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FioResult:
        """Read the whole of fio's JSON; KeyError or TypeError when it is not what fio >= 3.28 writes."""
        return cls(data["fio version"], tuple(FioJobResult.from_json(j) for j in data["jobs"]), data)


def fio_version() -> tuple[int, int]:
    """Return the installed fio's version; UserError with the remedy when there is none or it is too old."""
    try:
        text = subprocess.run(["fio", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        raise UserError(f"fio does not run here: {_INSTALL}") from None
    match = re.match(r"fio-(\d+)\.(\d+)", text)
    if match is None:
        raise UserError(f"fio reports the version {text!r}, which cannot be compared: {_INSTALL}")
    version = (int(match[1]), int(match[2]))
    if version < MINIMUM_FIO:
        raise UserError(f"{text} is too old, {MINIMUM_FIO[0]}.{MINIMUM_FIO[1]} is needed: {_INSTALL}")
    return version


def run_fio(
    job: FioJob,
    directory: Path,
    output_json: Path,
    *,
    timeout_s: float,
    on_start: Callable[[int], None] | None = None,
    explain_failed_sync: Callable[[], str | None] = lambda: None,
) -> FioResult:
    """Run `job` with its files in `directory`, and wait for it.

    The job file is written beside `output_json`, with the suffix `.fio`. `on_start` is told fio's process id.
    Where the job went on (`continue_on_error`) in spite of EIO from fsync and the like, and of nothing else,
    that is let pass if `explain_failed_sync` knows a reason.
    Raises UserError when fio refuses the job, DataMismatchError when its verification found wrong data, and
    InfrastructureError when the job broke off or `timeout_s` passed (fio and its jobs are ended then).
    """
    job_file = output_json.with_suffix(".fio")
    job_file.write_text(job.render())
    status, messages = _run(_command(job_file, output_json), directory, job.name, timeout_s, on_start)
    report = _read_report(output_json)
    if report is None and status < 0:
        raise InfrastructureError(f"fio job {job.name} died: {signal.Signals(-status).name}")
    if report is None:
        raise UserError(f"fio refused job {job.name}: {_first_line(messages, output_json)}")
    result = FioResult.from_json(report)
    if status == 0 and (failed := _failed_syncs(result, messages)) and (reason := explain_failed_sync()):
        return replace(result, remark=f"{failed} times EIO from fsync: {reason}")
    _raise_job_error(job.name, result, _first_line(messages, output_json))
    if status != 0:
        raise InfrastructureError(f"fio job {job.name} ended with status {status}: {messages.strip()[:200]}")
    return result


def _command(job_file: Path, output_json: Path) -> list[str]:
    # A harness that is killed takes fio with it: nothing may go on writing to a file system that
    # `iodiff clean` is about to remove.
    guard = ["setpriv", "--pdeathsig", "TERM"]
    output = ["--output-format=json", f"--output={output_json.absolute()}", "--eta=never"]
    return [*guard, "fio", *output, str(job_file.absolute())]


def _run(
    command: list[str], directory: Path, name: str, timeout_s: float, on_start: Callable[[int], None] | None
) -> tuple[int, str]:
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )
    except FileNotFoundError as error:
        raise UserError(f"{error.filename} is missing: install fio and util-linux") from None
    with process:
        try:
            if on_start is not None:
                on_start(process.pid)
            _, messages = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            _end(process)
            raise InfrastructureError(f"fio job {name} was not done after {timeout_s:g} s") from None
        except BaseException:
            _end(process)
            raise
    return process.returncode, messages


def _end(process: subprocess.Popen[str]) -> None:
    """End fio: kindly, so that it stops its jobs; then by force, each job by its id."""
    process.terminate()
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        # Jobs call setsid(2), so the process group does not reach them.
        for pid in [*_children(process.pid), process.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def _children(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # "pid (comm) state ppid": comm may hold anything, so count from its closing parenthesis.
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found


def _read_report(path: Path) -> dict[str, Any] | None:
    """Return fio's JSON, or None when fio wrote none; fio puts its messages above it."""
    text = path.read_text() if path.exists() else ""
    start = re.search(r"^\{", text, re.MULTILINE)
    if start is None:
        return None
    try:
        report: dict[str, Any] = json.JSONDecoder().raw_decode(text, start.start())[0]
    except ValueError as error:
        raise InfrastructureError(f"{path}: fio's JSON cannot be read ({error})") from None
    return report


def _first_line(messages: str, output_json: Path) -> str:
    written = output_json.read_text() if output_json.exists() else ""
    lines = [line.strip() for line in (messages + "\n" + written.partition("{")[0]).splitlines()]
    return next((line for line in lines if line), "it gave no reason")


def _failed_syncs(result: FioResult, messages: str) -> int:
    """Return how often fsync and the like returned EIO, if no other errors were counted; else 0."""
    errors = _ERROR.findall(messages)
    only_these = all(reason == os.strerror(errno.EIO) and call in _SYNCS for reason, call in errors)
    all_of_them = len(errors) == sum(job.total_errors for job in result.jobs)
    return len(errors) if only_these and all_of_them else 0


def _raise_job_error(name: str, result: FioResult, message: str) -> None:
    for job in result.jobs:
        if job.error == errno.EILSEQ:
            raise DataMismatchError(f"fio job {name}, [{job.name}]: verification found wrong data: {message}")
        if job.error:
            reason = os.strerror(job.error)
            raise InfrastructureError(f"fio job {name}, [{job.name}]: {reason}: {message}")
