# SPDX-License-Identifier: GPL-2.0-or-later
"""What cases do to a bcache device, and how a case is made of it."""

from __future__ import annotations

import fcntl
import os
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from harness.bcache.needs import why_no_bcache
from harness.capture.choice import BCACHE
from harness.cases import Case, Experiment
from harness.errors import InfrastructureError
from harness.fiojob import FioJob, Options
from harness.record.experiment import LiveExperiment
from harness.record.stage import DEVICE
from loopdevs import Bcache, BcacheLayout
from loopdevs import bcache_control as control

__all__ = ["KIB", "MIB", "Work", "bcache_case"]

KIB = 1024
MIB = 1024**2
BLKDISCARD = 0x1277
GC_DEADLINE_S = 60.0
BACKING_BYTES = 256 * MIB


@dataclass(frozen=True)
class Work:
    """A bcache device under capture, and what can be done to it. Sizes are bytes."""

    experiment: LiveExperiment
    share: float = 1.0
    """How much of what it does in full a workload is to do."""

    def part(self, full: int) -> int:
        """Return the share of a number of operations, or of bytes: a multiple of 4096 of many."""
        part = int(full * self.share)
        return part & ~4095 if full >= MIB else part

    @property
    def bcache(self) -> Bcache:
        """The device with its cache."""
        return self.experiment.cached.bcache

    def fio(self, name: str, sections: dict[str, Options], **options: str | int | None) -> None:
        """Run fio jobs on the device, past the page cache."""
        common: Options = {
            "filename": DEVICE,
            "direct": 1,
            "ioengine": "libaio",
            "iodepth": 8,
            "randrepeat": 1,
            "randseed": self.experiment.rng.randrange(1 << 30),
            "norandommap": None,
            "group_reporting": None,
            **options,
        }
        self.experiment.fio(FioJob(name, sections, common))

    def write(self, name: str, count: int, bs: int, span: int, **options: str | int | None) -> None:
        """Write `count` blocks of `bs` at random into the first `span` bytes."""
        job: Options = {"rw": "randwrite", "bs": bs, "size": span, "number_ios": count, "io_size": count * bs}
        self.fio(name, {"w": job}, **options)

    def discard(self, share: float, span: int, chunk: int) -> None:
        """Discard a share of the first `span` bytes, in pieces of `chunk` chosen by chance."""
        pieces = [at for at in range(0, span, chunk) if self.experiment.rng.random() < share]
        self.experiment.step(f"discard {len(pieces)} x {chunk}", lambda: self._discard(pieces, chunk))

    def collect(self) -> None:
        """Have garbage collected, and wait until that was done."""
        self.experiment.step("collect garbage", self._collect)

    def set(self, name: str, value: str) -> None:
        """Write to a file of the backing device in sysfs."""
        file = control.sysfs_of(self.bcache.backing) / name
        self.experiment.step(f"{name} = {value}", file.write_text, value)

    def set_of_cache(self, name: str, value: str) -> None:
        """Write to a file of the set in sysfs."""
        file = control.SETS / self.bcache.set_uuid / name
        self.experiment.step(f"{name} = {value}", file.write_text, value)

    def _discard(self, pieces: list[int], chunk: int) -> None:
        fd = os.open(self.bcache.device, os.O_WRONLY)
        try:
            for at in pieces:
                fcntl.ioctl(fd, BLKDISCARD, struct.pack("<QQ", at, chunk))
        finally:
            os.close(fd)

    def _collect(self) -> None:
        folder = control.SETS / self.bcache.set_uuid / "internal"
        begin = time.monotonic()
        (folder / "trigger_gc").write_text("1")
        # Whole seconds since the last collection ended, -1 if there was none.
        last = folder / "btree_gc_last_sec"
        while not 0 <= int(last.read_text()) <= time.monotonic() - begin - 1:
            if time.monotonic() > begin + GC_DEADLINE_S:
                raise InfrastructureError(f"garbage was not collected within {GC_DEADLINE_S:.0f} s")
            time.sleep(0.05)


def bcache_case(
    name: str,
    title: str,
    layout: BcacheLayout,
    work: Callable[[Work], None],
    groups: tuple[str, ...] = ("auto",),
    deadline_s: float = 30.0,
    share: float = 1.0,
) -> Case:
    """Return a case: a `share` of `work` is done to a fresh set; it is stopped, and its cache device read."""

    def run(experiment: Experiment) -> None:
        assert isinstance(experiment, LiveExperiment)
        work(Work(experiment, share))
        experiment.step("stop", experiment.cached.umount)
        experiment.step("keep", experiment.bcache().keep, experiment.cached.bcache.cache)

    return Case(
        f"bcache/{name}",
        title,
        frozenset(groups),
        replace(layout, backing_bytes=BACKING_BYTES),
        run,
        deadline_s=deadline_s,
        capture=BCACHE,
        why_not=why_no_bcache,
    )
