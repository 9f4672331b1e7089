# SPDX-License-Identifier: GPL-2.0-or-later
"""Records what the kernel does for reads, each under its number, by BPF."""

from __future__ import annotations

import io
import mmap
import os
import struct
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.bundle import BundleWriter, Table
from harness.capture.libbpf import BpfObject
from harness.capture.probes import Probe
from harness.capture.program import DIRECT_IO, compiled_object
from harness.capture.recording import Recording
from harness.capture.ring import RingReader
from harness.direct_io.events import EVENT_BYTES, RECORD, Kind
from harness.direct_io.kernel import DirectIoKernel, running_direct_io_kernel
from harness.direct_io.record import DirectRead, Layout, save_layout, save_reads
from harness.errors import InfrastructureError

__all__ = ["DirectIoCapture", "DirectIoRecording", "device_number"]

RING_BYTES = 16 << 20
DRAIN_S = 0.05
_MINOR_BITS = 20


@dataclass(frozen=True)
class DirectIoRecording(Recording):
    """Reads, what the kernel did for them, and what they were made on."""

    reads: Sequence[DirectRead] = ()
    layout: Layout | None = None

    def save(self, writer: BundleWriter) -> None:
        """See `Recording.save`."""
        assert self.layout is not None
        save_reads(writer, self.reads, self.events)
        save_layout(writer, self.layout)


class DirectIoCapture:
    """A `Capture` from `begin` to `keep`: the case says when its files are as they are to be."""

    def __init__(self, *, by_call: bool = False) -> None:
        """Load the programs; UserError where BPF cannot be used.

        With `by_call`, several may read at a time, and whoever does is recorded: `harness.direct_io.calls`.
        """
        self._records = io.BytesIO()
        self._recording: DirectIoRecording | None = None
        with ExitStack() as made:
            self._kernel = running_direct_io_kernel()
            self._probes = [*(self._kernel.call_probes if by_call else ()), *self._kernel.probes]
            self._bpf = made.enter_context(_loaded(self._kernel, self._probes))
            self._ring = RingReader(self._bpf.map_fd("events"), RING_BYTES, EVENT_BYTES)
            made.callback(self._ring.close)
            self._number = mmap.mmap(self._bpf.map_fd("current_reads"), mmap.PAGESIZE, mmap.MAP_SHARED)
            self._number[8:16] = (0 if by_call else os.getpid()).to_bytes(8, "little")
            made.callback(self._number.close)
            self._made = made.pop_all()

    def begin(self, mount: Path, devices: Sequence[Path]) -> None:
        """Record from now on what is read of the file system mounted there."""
        numbers = [device_number(device.stat().st_rdev) for device in devices]
        for number in (*numbers, _super_block_number(mount)):
            self._bpf.update("devices", struct.pack("<I", number), struct.pack("<I", 1))
        self._bpf.update("large", bytes(4), struct.pack("<Q", self._kernel.large))
        for probe in self._probes:
            self._bpf.attach(probe.program, probe.way, probe.place)

    @property
    def sees_all_calls(self) -> bool:
        """Whether calls are recorded that are not of whole blocks, too (`DirectIoKernel`)."""
        return self._kernel.sees_all_calls

    def number(self, number: int) -> None:
        """Say which read comes next; with `by_call`, which phase of the case (`Call.phase`)."""
        self._number[:8] = number.to_bytes(8, "little")

    def drain(self) -> None:
        """Empty the kernel's buffer. To be called often enough: what finds it full is lost."""
        self._ring.drain(self._records)

    @contextmanager
    def draining(self) -> Iterator[None]:
        """Empty the kernel's buffer again and again, while others read."""
        done = threading.Event()

        def drain() -> None:
            while not done.wait(DRAIN_S):
                self.drain()

        with ThreadPoolExecutor(1, "drain") as pool:
            draining = pool.submit(drain)
            try:
                yield
            finally:
                done.set()
                draining.result()

    def new_pages(self, inode: int) -> list[int]:
        """Return which pages of a file were cached since the kernel's buffer was emptied; empty it."""
        chunk = self._ring.drain(self._records)
        records = np.frombuffer(chunk or b"", RECORD)
        found: list[int] = records["start"][
            (records["kind"] == Kind.PAGE) & (records["ino"] == inode)
        ].tolist()
        return found

    def keep(self, reads: Sequence[DirectRead], layout: Layout) -> int:
        """End recording; keep what was read. Returns the number of events."""
        self._bpf.detach()
        self.drain()
        recorded, lost = self._counters()
        records = np.frombuffer(self._records.getvalue(), RECORD)
        if recorded != len(records):
            raise InfrastructureError(f"{recorded} events recorded but {len(records)} read")
        events: Table = {name: records[name].copy() for name in RECORD.names or () if name != "header"}
        recording = {probe.program for probe in self._probes if probe.records}
        missed = sum(map(self._bpf.missed, recording)) + self._bpf.missed_kprobes
        facts = {"clock": "ring buffer order; times are CLOCK_MONOTONIC", "ring_bytes": RING_BYTES}
        # Which of the maps that the model has cached are gone, it is not told.
        shrunk = int(np.count_nonzero(events["kind"] == Kind.MAP_REMOVED))
        losses = {"lost_ring": lost, "lost_recursion": missed, "extent maps, to the shrinker": shrunk}
        self._recording = DirectIoRecording("bpf", events, (), losses, facts, tuple(reads), layout)
        return len(records)

    def checkpoint(self, name: str) -> None:
        """Refused: there is nothing that could be read out (`Capture`)."""
        raise InfrastructureError(f"checkpoint {name}: a case of direct reads has none")

    def stop(self) -> Recording:
        """Return what was kept; InfrastructureError if the case did not come to that."""
        if self._recording is None:
            raise InfrastructureError("the case did not come to the end of its reads")
        return self._recording

    def close(self) -> None:
        """Give everything back; harmless when done before."""
        self._made.close()

    def _counters(self) -> tuple[int, int]:
        text = Path("/sys/devices/system/cpu/possible").read_text().strip()
        cpus = int(text.split("-")[-1]) + 1
        values = [self._bpf.lookup("counters", struct.pack("<I", i), 8 * cpus) for i in range(2)]
        recorded, lost = (sum(struct.unpack(f"<{cpus}Q", value)) for value in values)
        return recorded, lost


def _loaded(kernel: DirectIoKernel, probes: Sequence[Probe]) -> BpfObject:
    with os.fdopen(os.memfd_create("structures"), "wb") as file:
        file.write(kernel.structures)
        file.flush()
        return BpfObject(
            compiled_object(DIRECT_IO),
            Path(f"/proc/self/fd/{file.fileno()}"),
            ring=("events", RING_BYTES),
            optional=sorted({probe.program for probe in probes}),
        )


def device_number(rdev: int) -> int:
    """Return a device's number as the kernel keeps it (include/linux/kdev_t.h)."""
    return os.major(rdev) << _MINOR_BITS | os.minor(rdev)


def _super_block_number(mount: Path) -> int:
    """Return `s_dev`, which is not what stat(2) says of a subvolume."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if fields[4] == str(mount):
            major, minor = map(int, fields[2].split(":"))
            return major << _MINOR_BITS | minor
    raise InfrastructureError(f"{mount} is not mounted any more")
