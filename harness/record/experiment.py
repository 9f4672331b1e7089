# SPDX-License-Identifier: GPL-2.0-or-later
"""The experiment that a case function works on: a mounted file system, under capture, with an op log."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from harness.bcache.capture import BcacheCapture
from harness.bcache.crash.capture import CrashCapture
from harness.bcache.crash.live import record_crashes
from harness.bcache.crash.plan import CrashPlan
from harness.bundle import BundleWriter
from harness.capture import Capture
from harness.direct_io.capture import DirectIoCapture
from harness.direct_io.races import RacesCapture
from harness.errors import InfrastructureError
from harness.fio import FioJob, FioResult, run_fio
from harness.measured import MeasuredCapture
from harness.readahead.capture import ReadaheadCapture
from harness.readahead.reads_capture import ReadsCapture
from harness.record.kmsg import KernelLog, lines_since_boot
from harness.record.stage import BcacheStage
from harness.record.stale_pages import explanation
from harness.taskstats import ExitAccounting
from loopdevs import BtrfsFilesystem, RotationalLayout, Workspace

__all__ = ["LiveExperiment"]


class LiveExperiment:
    """Implements `harness.cases.Experiment` on real devices."""

    def __init__(
        self,
        workspace: Workspace,
        stage: BtrfsFilesystem | BcacheStage,
        capture: Capture,
        writer: BundleWriter,
        log: KernelLog,
        seed: int,
        name: str,
        deadline_s: float,
        tell_disks: Callable[[bool], None] | None = None,
    ) -> None:
        self.mount = stage.mountpoint
        self.seed = seed
        self.rng = random.Random(f"{seed} {name}")
        self.steps: list[dict[str, Any]] = []
        self.taskstats: list[dict[str, Any]] = []
        self._workspace = workspace
        self._stage = stage
        self._capture = capture
        self._writer = writer
        self._log = log
        self.verifications = 0
        """Steps so far that verified data."""
        self._begin_ns = time.monotonic_ns()
        self._deadline_s = deadline_s
        self._tell_disks = tell_disks

    @property
    def filesystem(self) -> BtrfsFilesystem:
        """All of the file system, for cases that mount in other ways or damage it."""
        assert isinstance(self._stage, BtrfsFilesystem)
        return self._stage

    @property
    def cached(self) -> BcacheStage:
        """The backing device with its cache, in a case whose layout that is."""
        assert isinstance(self._stage, BcacheStage)
        return self._stage

    def fio(self, job: FioJob) -> FioResult:
        """See `Experiment.fio`."""
        output = self._writer.file(f"fio/{len(self.taskstats):02}-{job.name}.json")
        pids: list[int] = []

        def on_start(pid: int) -> None:
            pids.append(pid)
            self._workspace.process_group(pid)

        self.verifications += any(name == "verify" for section in job.sections.values() for name in section)
        with ExitAccounting() as accounting:
            try:
                result: FioResult = self._logged(
                    "fio",
                    {"job": job.name, "file": output.stem},
                    lambda: run_fio(
                        job,
                        self.mount,
                        output,
                        timeout_s=self._left(),
                        on_start=on_start,
                        explain_failed_sync=self._explain_failed_sync,
                    ),
                    _fio_text,
                )
            finally:
                self.taskstats.append(accounting.report(job.name, pids[0]) if pids else {"job": job.name})
        return result

    def btrfs(self, *arguments: str | Path) -> str:
        """See `Experiment.btrfs`."""
        command = ["btrfs", *map(str, arguments)]
        return str(self._logged("btrfs", {"command": " ".join(command)}, lambda: self._tool(command)))

    def step(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """See `Experiment.step`."""
        self.verifications += name.startswith("verify")
        return self._logged(name, {"arguments": [_text(a) for a in arguments]}, lambda: function(*arguments))

    def checkpoint(self, name: str) -> None:
        """See `Experiment.checkpoint`."""
        self._logged("checkpoint", {"name": name}, lambda: self._capture.checkpoint(name))

    def sync(self) -> None:
        """See `Experiment.sync`."""
        self._logged("sync", {}, lambda: self._tool(["sync", "--file-system", str(self.mount)]))

    def remount(self, options: Sequence[str] = ()) -> None:
        """See `Experiment.remount`."""
        self._logged("umount", {}, self.filesystem.umount)
        self._logged(
            "mount", {"options": list(options)}, lambda: self.filesystem.mount(tuple(options) or None)
        )

    def readahead(self) -> ReadaheadCapture:
        """Return what starts and records readaheads, in a case whose `capture` that is."""
        assert isinstance(self._capture, ReadaheadCapture)
        return self._capture

    def reads(self) -> ReadsCapture:
        """Return what keeps reads and trees, in a case whose `capture` that is."""
        assert isinstance(self._capture, ReadsCapture)
        return self._capture

    def bcache(self) -> BcacheCapture:
        """Return what records the cache, in a case whose `capture` that is."""
        assert isinstance(self._capture, BcacheCapture)
        return self._capture

    def direct_io(self) -> DirectIoCapture:
        """Return what records direct reads, in a case whose `capture` that is."""
        assert isinstance(self._capture, DirectIoCapture)
        return self._capture

    def measured(self) -> MeasuredCapture:
        """Return what keeps measurements, in a case whose `capture` that is."""
        assert isinstance(self._capture, MeasuredCapture)
        return self._capture

    def races(self) -> RacesCapture:
        """Return what keeps reads during changes, in a case whose `capture` that is."""
        assert isinstance(self._capture, RacesCapture)
        return self._capture

    def lose_power(self, plan: CrashPlan, losses: int, damages: Sequence[str] = (), failing: int = 0) -> None:
        """Record losses of power (`record_crashes`), in a case whose `capture` that is."""
        assert isinstance(self._capture, CrashCapture)
        arguments = {"losses": losses, "damages": list(damages), "failing": failing}
        record = self._logged(
            "lose power",
            arguments,
            lambda: record_crashes(plan, self.seed, losses, self._workspace, damages, failing),
            lambda record: f"{len(record.entries)} writes logged",
        )
        self._capture.keep(record)

    @contextmanager
    def on_disks(self, layout: Callable[[int], RotationalLayout]) -> Iterator[list[Path]]:
        """Put the unmounted file system on rotational disks, and give those; `layout` is asked with a size.

        Only for file systems on loop devices.
        """
        with ExitStack() as disks:
            devices = []
            for image in self.filesystem.backing_files:
                disk = disks.enter_context(self._workspace.rotational_device(layout(image.stat().st_size)))
                disk.load(image)
                devices.append(disk.device)
            yield devices

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Have the rotational disks that the file system stands on take no time inside.

        InfrastructureError where there are none.
        """
        if self._tell_disks is None:
            raise InfrastructureError("only for rotational disks: run with --guest-devices rotational")
        self._tell_disks(False)
        try:
            yield
        finally:
            self._tell_disks(True)

    def _explain_failed_sync(self) -> str | None:
        return explanation(self._log.lines(), lines_since_boot(), self.mount)

    def _left(self) -> float:
        left = self._deadline_s - (time.monotonic_ns() - self._begin_ns) / 1e9
        if left <= 0:
            raise InfrastructureError(f"the case did not end within {self._deadline_s:.0f} s")
        return left

    def _logged(
        self,
        name: str,
        arguments: dict[str, Any],
        function: Callable[[], Any],
        describe: Callable[[Any], Any] | None = None,
    ) -> Any:
        self._left()
        entry = {"name": name, "begin_ns": time.monotonic_ns() - self._begin_ns, "arguments": arguments}
        self.steps.append(entry)
        try:
            result = function()
        except Exception as error:
            entry["result"] = f"{type(error).__name__}: {error}"
            raise
        else:
            entry["result"] = (describe or _text)(result)
            return result
        finally:
            entry["end_ns"] = time.monotonic_ns() - self._begin_ns

    def _tool(self, command: list[str]) -> str:
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=self._left(),
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            raise InfrastructureError(f"{' '.join(command[:3])} did not end in time") from None
        if done.returncode:
            last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no message"]
            raise InfrastructureError(f"{' '.join(command)} failed: {last[0]}")
        return done.stdout


def _text(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    text = os.fspath(value) if isinstance(value, Path) else str(value)
    return text if len(text) <= 400 else text[:400] + "…"


def _fio_text(result: FioResult) -> str:
    return "; ".join(filter(None, (f"{len(result.jobs)} job(s)", result.remark)))
