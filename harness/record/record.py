# SPDX-License-Identifier: GPL-2.0-or-later
"""Records one case: devices, capture, workload, and the bundle written at the end."""

from __future__ import annotations

import datetime
import errno
import resource
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

from harness.bundle import Bundle, BundleWriter
from harness.capture import Capture, Recording
from harness.capture.choice import CaptureFactory
from harness.cases import Case
from harness.errors import InfrastructureError, UserError
from harness.fileops import DataMismatchError
from harness.record.experiment import LiveExperiment
from harness.record.host import kernel_facts, machine_facts, tool_versions
from harness.record.interruption import interruptible
from harness.record.kmsg import KernelLog
from harness.record.layout import device_counters
from harness.record.stage import BcacheStage, Stage, make_stage, space_used, stage_facts
from loopdevs import BtrfsFilesystem, LoopdevsError, Workspace

__all__ = [
    "CapturePreparer",
    "RecordPlan",
    "capture_facts",
    "case_facts",
    "device_facts",
    "device_kind",
    "record_case",
]

FULL_BYTES = 8 << 20
"""With less than this free, a file system has refused somebody something, or is about to."""

CapturePreparer = Callable[[], AbstractContextManager[CaptureFactory]]
"""Begins what a capture needs before there is a file system to capture."""


@dataclass(frozen=True)
class RecordPlan:
    """Which case to record, and what the bundle is to say of it."""

    case: Case
    seed: int
    run_id: str
    folder: Path
    """The bundle's folder; must not exist."""
    kernel: str = "host"
    """The running kernel's name in the catalogue."""
    config: Path | None = None
    """The running kernel's configuration, where the kernel does not tell it itself."""
    tools: Mapping[str, str] = field(default_factory=dict)
    """Versions of the tools; empty to ask them, which in an emulated guest takes two seconds."""
    drives: Sequence[str] = ()
    """Serial numbers of virtio drives to use; none for loop devices. All of them are made blank."""
    tell_disks: Callable[[bool], None] | None = None
    """If the drives are rotational disks: has them take their time, or not."""


@dataclass
class _Evidence:
    """What is known of a case besides its files, filled in while it runs."""

    begin: float = field(default_factory=time.monotonic)
    started: datetime.datetime = field(default_factory=lambda: datetime.datetime.now(datetime.UTC))
    error: str | None = None
    mismatch: str | None = None
    verifications: int = 0
    recording: Recording | None = None
    layout: list[dict[str, Any]] = field(default_factory=list)
    counters: dict[str, Any] = field(default_factory=dict)
    overrun: int = 0


def record_case(plan: RecordPlan, workspace: Workspace, prepare_capture: CapturePreparer) -> Bundle:
    """Run the case and return its bundle.

    What breaks off the workload (a deadline, a tool that died) is written into the bundle's `error`, wrong
    data into `data_mismatch`. Raises UserError, and leaves no folder, when the environment cannot run it.
    """
    folder = plan.folder
    writer = BundleWriter(folder)
    try:
        return _record(plan, writer, workspace, prepare_capture)
    except LoopdevsError as error:
        shutil.rmtree(folder)
        raise UserError(str(error)) from error
    except OSError as error:
        shutil.rmtree(folder)
        if error.errno == errno.ENOSPC:
            places = f"{folder.parent} or {workspace.directory}"
            raise UserError(f"no space left in {places}: nothing of {plan.case.id} was kept") from error
        raise
    except BaseException:
        shutil.rmtree(folder)
        raise


def _record(
    plan: RecordPlan, writer: BundleWriter, workspace: Workspace, prepare_capture: CapturePreparer
) -> Bundle:
    case = plan.case
    evidence = _Evidence()
    log = KernelLog()
    try:
        # All of them, as a drive that this case does not need may hold what another one wrote.
        drives = [workspace.drive(serial) for serial in plan.drives]
        with (
            prepare_capture() as start_capture,
            make_stage(workspace, case.layout, drives) as stage,
        ):
            experiment = _experiment(plan, writer, log, workspace, stage, start_capture, evidence)
    finally:
        lines = log.close()
        evidence.overrun = log.overrun
    writer.add_json("steps.json", experiment.steps)
    writer.add_json("taskstats.json", experiment.taskstats)
    writer.add_json("layout.json", evidence.layout)
    writer.add_json("devices.json", evidence.counters)
    writer.add_text("dmesg.txt", "".join(line + "\n" for line in lines))
    recording = evidence.recording
    if recording is not None:
        recording.save(writer)
    facts = _facts(plan, evidence)
    facts["devices"] = device_facts(case, device_kind(plan.drives, plan.tell_disks), stage)
    return writer.finish(facts)


def _experiment(
    plan: RecordPlan,
    writer: BundleWriter,
    log: KernelLog,
    workspace: Workspace,
    stage: BtrfsFilesystem | BcacheStage,
    start_capture: CaptureFactory,
    evidence: _Evidence,
) -> LiveExperiment:
    case = plan.case
    capture = start_capture(stage.fsid, workspace.path("events.raw"))
    try:
        experiment = LiveExperiment(
            workspace,
            stage,
            capture,
            writer,
            log,
            plan.seed,
            case.id,
            case.deadline_s,
            plan.tell_disks,
        )
        evidence.counters["before"] = device_counters(stage.devices)
        with _space_kept(case, workspace):
            stage.mount()
            _run_workload(case, experiment, stage, evidence)
            stage.umount()
        evidence.counters["after"] = device_counters(stage.devices)
        evidence.recording = _recording(capture, evidence)
    finally:
        capture.close()
    return experiment


def _run_workload(
    case: Case, experiment: LiveExperiment, stage: BtrfsFilesystem | BcacheStage, evidence: _Evidence
) -> None:
    try:
        with interruptible(), _deadline(case.deadline_s):
            case.run(experiment)
        evidence.layout = space_used(stage)
    except DataMismatchError as error:
        evidence.mismatch = str(error)
    except InfrastructureError as error:
        evidence.error = str(error)
    except OSError as error:
        evidence.error = f"{error.filename or 'a step'}: {error.strerror or error}"
    evidence.verifications = experiment.verifications


@contextmanager
def _space_kept(case: Case, workspace: Workspace) -> Iterator[None]:
    """Raise UserError when the backing files' file system ran full inside.

    The loop devices fail then, and whatever the kernel did about that is no evidence against it.
    """
    try:
        yield
    except Exception:
        _check_space(case, workspace)
        raise
    _check_space(case, workspace)


def _check_space(case: Case, workspace: Workspace) -> None:
    try:
        workspace.check_space(FULL_BYTES)
    except LoopdevsError as error:
        raise UserError(f"the space ran out during {case.id}, of which nothing was kept: {error}") from None


def _recording(capture: Capture, evidence: _Evidence) -> Recording | None:
    try:
        return capture.stop()
    except InfrastructureError as error:
        evidence.error = evidence.error or str(error)
        return None


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """Raise InfrastructureError in the main thread after `seconds`, whatever it does then."""

    def expire(_signal: int, _frame: FrameType | None) -> None:
        raise InfrastructureError(f"the case did not end within {seconds:.0f} s")

    previous = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def _facts(plan: RecordPlan, evidence: _Evidence) -> dict[str, Any]:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "run_id": plan.run_id,
        "case": case_facts(plan.case),
        "seed": plan.seed,
        "kernel": kernel_facts(plan.kernel, plan.config),
        "machine": machine_facts(),
        "tools": dict(plan.tools) or _tools(),
        "capture": capture_facts(evidence.recording),
        "started": evidence.started.isoformat(timespec="seconds"),
        "wall_s": round(time.monotonic() - evidence.begin, 3),
        "cpu_s": round(time.process_time() + usage.ru_utime + usage.ru_stime, 3),
        "error": evidence.error,
        "data_mismatch": evidence.mismatch,
        "data_verifications": evidence.verifications,
        "dmesg_overrun": evidence.overrun,
    }


@cache
def _tools() -> dict[str, str]:
    """Ask once."""
    return tool_versions()


def case_facts(case: Case) -> dict[str, Any]:
    """Return what a bundle says of its case."""
    return {"id": case.id, "suite": case.suite, "title": case.title, "groups": sorted(case.groups)}


def capture_facts(recording: Recording | None) -> dict[str, Any]:
    """Return what a bundle says of its capture, None if there is no recording."""
    if recording is None:
        return {"method": None, "events": 0, "lost": 0, "lost_reasons": {}}
    return {
        "method": recording.method,
        "events": recording.count,
        "lost": sum(recording.lost.values()),
        "lost_reasons": recording.lost,
        **recording.facts,
    }


def device_kind(drives: object, disks: object) -> str:
    """Return what a bundle calls its devices, given whether there are drives, and rotational disks."""
    return "rotational" if disks else "drive" if drives else "loop"


def device_facts(case: Case, kind: str, stage: Stage | None = None) -> dict[str, Any]:
    """Return what a bundle says of its devices; without `stage`, of those that were to be made."""
    return {
        "kind": kind,
        "backing": stage.backing if stage else None,
        **stage_facts(case.layout),
        "direct_io": stage.direct_io if stage else None,
        "fsid": stage.fsid if stage else None,
    }
