# SPDX-License-Identifier: GPL-2.0-or-later
"""Records readaheads of a kernel that has fs/btrfs/reada.c, and starts them, through the module."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.bundle import BundleWriter
from harness.capture.recording import Recording
from harness.errors import InfrastructureError
from harness.metadata import FileSystem, MetadataError
from harness.readahead.device import Handle, ReadaDevice
from harness.readahead.excerpt import Device, Excerpt, save_excerpt
from harness.readahead.module import NAME, module_file
from harness.readahead.record import Request, save_record

__all__ = ["ReadaheadCapture", "ReadaheadRecording"]

UNBOUND_CPUS = Path("/sys/devices/virtual/workqueue/cpumask")
"""Where the engine's workers and those that end reads may run: the queues of both are unbound."""


@dataclass(frozen=True)
class ReadaheadRecording(Recording):
    """What was recorded, with the trees that were read."""

    requests: Sequence[Request] = ()
    trees: Excerpt | None = None

    def save(self, writer: BundleWriter) -> None:
        """See `Recording.save`."""
        assert self.trees is not None
        save_record(writer, self.events, self.requests)
        save_excerpt(writer, self.trees)


class ReadaheadCapture:
    """A `Capture` of one mount: the case says when its trees are as they are to be."""

    def __init__(self) -> None:
        """Load the module; UserError where that cannot be."""
        _load()
        self._device = ReadaDevice()
        self._mount = Path()
        self._requests: list[Request] = []
        self._devices: Sequence[Device] = ()
        self._cpus = 0
        self._recording: ReadaheadRecording | None = None
        self._processors = os.sched_getaffinity(0)

    @contextmanager
    def recording(self, mount: Path, cpus: int = 1) -> Iterator[None]:
        """Record the file system mounted there, on which nothing was read ahead yet; `end` has to follow.

        The engine, and who calls from this thread and those that it starts, are kept on the first `cpus`
        processors. On one, the records stand in the order of what they tell.
        """
        self._keep_on(sorted(self._processors)[:cpus])
        self._cpus = cpus
        self._mount = mount
        self._devices = self._device.start(mount)
        try:
            yield
        except BaseException:
            # What is recorded is in use, and could not be unmounted.
            self._device.stop()
            raise

    def add(self, request: Request) -> Handle | None:
        """Begin a readahead; None if the kernel cannot queue its root."""
        return self._device.add(self._mount, self._number(request), request)

    def wait(self, handle: Handle) -> None:
        """Wait until nothing of it is left, and give it back. Other threads go on meanwhile."""
        self._device.wait(handle)

    def detach(self, handle: Handle) -> None:
        """Give it back and let it go on by itself."""
        self._device.detach(handle)

    def walk(self, request: Request) -> int:
        """Walk over the leaves as ever, and return how many there were."""
        leaves, result = self._device.walk(self._mount, self._number(request), request)
        if result:
            raise InfrastructureError(f"the walk of tree {request.tree} ends: {os.strerror(-result)}")
        return leaves

    def end(self, devices: Sequence[Path]) -> int:
        """End recording; keep the trees that were asked for, as they are on `devices`.

        Nobody may have written to them meanwhile. Returns the number of events.
        """
        recorded = self._device.stop()
        self._keep_on(sorted(self._processors))
        facts = {"clock": "order of the module's ring; times are CLOCK_MONOTONIC", "engine_cpus": self._cpus}
        trees = self._trees(devices)
        self._recording = ReadaheadRecording(
            "module", recorded.events, (), recorded.lost, facts, tuple(self._requests), trees
        )
        return len(recorded.events["kind"])

    def checkpoint(self, name: str) -> None:
        """Refused: there is nothing that could be read out (`Capture`)."""
        raise InfrastructureError(f"checkpoint {name}: a readahead has none")

    def stop(self) -> Recording:
        """Return what was recorded; InfrastructureError if the case did not come to the end of it."""
        if self._recording is None:
            raise InfrastructureError("the case did not come to the end of its recording")
        return self._recording

    def close(self) -> None:
        """Give everything back; harmless when done before."""
        self._device.close()
        self._keep_on(sorted(self._processors))
        subprocess.run(["rmmod", NAME], check=False, capture_output=True)

    def _number(self, request: Request) -> int:
        self._requests.append(request)
        return len(self._requests) - 1

    def _trees(self, devices: Sequence[Path]) -> Excerpt:
        degraded = any(device.missing for device in self._devices)
        with FileSystem(devices, degraded=degraded) as filesystem:
            roots = {filesystem.root(request.tree).bytenr for request in self._requests}
            return Excerpt.of(filesystem, sorted(roots), self._devices, (KeyError, MetadataError))

    def _keep_on(self, processors: Sequence[int]) -> None:
        mask = sum(1 << processor for processor in processors)
        UNBOUND_CPUS.write_text(f"{mask:x}")
        os.sched_setaffinity(0, processors)


def _load() -> None:
    done = subprocess.run(
        ["insmod", module_file(os.uname().release)], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise InfrastructureError(f"the readahead module cannot be loaded: {done.stderr.strip()}")
