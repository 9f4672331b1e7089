# SPDX-License-Identifier: GPL-2.0-or-later
"""Capture of the extent-io-tree through BPF raw tracepoints: the primary way."""

from __future__ import annotations

import os
import struct
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.capture.checkpoints import Checkpoint, TreeContents
from harness.capture.drained import DrainedCapture
from harness.capture.kernel import BtrfsKernel, running_kernel
from harness.capture.layout import check_layout
from harness.capture.libbpf import BpfObject
from harness.capture.probes import probes
from harness.capture.program import compiled_layout, compiled_object
from harness.capture.quiet import may_be_busy
from harness.capture.recording import Recording
from harness.capture.records import EVENT_BYTES, RECORD, Kind, to_table
from harness.capture.ring import RingReader
from harness.capture.walk import TreeWalker
from harness.errors import InfrastructureError
from reference.extent_state import FEATURES

__all__ = ["BpfCapture", "load_programs"]

RING_BYTES = 64 << 20
QUIET_S = 0.25
"""No event for this long, and an empty ring, counts as quiet, whatever tasks seem to do."""
SETTLED_S = 0.03
"""No event for this long counts as quiet if no task can be in the middle of an operation."""
QUIET_DEADLINE_S = 40.0

COUNTERS = ("recorded", "lost_ring", "lost_task", "lost_state", "clears", "agreed", "disagreed")
LOSSES = COUNTERS[1:4]


class BpfCapture(DrainedCapture):
    """Records one file system, from before its mount until `stop`.

    `fsid` is its UUID, known before it is mounted. Events pass through the file `scratch`. `load` gives the
    programs, which are the capture's then.
    Raises UserError where BPF cannot be used, InfrastructureError where the kernel refuses the programs.
    """

    method = "bpf"

    def __init__(
        self,
        fsid: str,
        scratch: Path,
        features: Sequence[str] = FEATURES,
        load: Callable[[], BpfObject] | None = None,
    ) -> None:
        self._fsid = int.from_bytes(uuid.UUID(fsid).bytes[:8], "little")
        self._trees: dict[int, tuple[int, int, int]] = {}
        self._tasks: set[int] = set()
        self._checkpoints: list[Checkpoint] = []
        self._load = load or load_programs
        self._draining = threading.Lock()
        self._latest_s = time.monotonic()
        super().__init__(scratch, features)

    def _start(self, made: ExitStack) -> None:
        kernel = self.kernel
        self._probes = probes(kernel)
        self._bpf = made.enter_context(self._load())
        self._ring = RingReader(self._bpf.map_fd("events"), RING_BYTES, EVENT_BYTES)
        made.callback(self._ring.close)
        self._walker = TreeWalker.of(self._bpf)
        made.callback(self._walker.close)
        owners = kernel.owners["IO_TREE_INODE_IO"], kernel.owners["IO_TREE_DEVICE_ALLOC_STATE"]
        config = struct.pack("<IIII", *owners, kernel.bits["EXTENT_CLEAR_ALL_BITS"], bool(kernel.layout))
        self._bpf.update("configuration", bytes(4), config)
        self._bpf.update("filesystems", self._fsid.to_bytes(8, "little"), b"\1")
        self._start_thread(made)
        for probe in self._probes:
            self._bpf.attach(probe.program, probe.way, probe.place)

    def _halt(self) -> None:
        self._bpf.detach()

    def checkpoint(self, name: str) -> None:
        """Wait until the kernel is quiet, then read every known tree.

        A checkpoint during which an event fired is no evidence: it is tried again until the deadline and then
        kept as invalid.
        """
        deadline = time.monotonic() + QUIET_DEADLINE_S
        reason = "never quiet"
        while time.monotonic() < deadline:
            position = self._ring.produced()
            self._drain()
            self._wait_for_quiet(SETTLED_S)
            if may_be_busy(self._working_tasks()):
                self._wait_for_quiet(QUIET_S)
            if not self._ring.produced() == self._ring.consumed() == position:
                continue
            try:
                trees = self._read_trees()
            except InfrastructureError as error:
                reason = str(error)
                continue
            if self._ring.produced() == position:
                self._checkpoints.append(self._new_checkpoint(name, position, trees))
                return
            reason = "events fired while the trees were read"
        self._checkpoints.append(self._new_checkpoint(name, self._ring.consumed(), [], reason))

    def _working_tasks(self) -> tuple[int, ...]:
        with self._draining:
            return tuple(self._tasks)

    def _wait_for_quiet(self, seconds: float) -> None:
        """Wait until so long after the last event that was seen."""
        time.sleep(max(0.0, self._latest_s + seconds - time.monotonic()))

    def _recording(self) -> Recording:
        records = np.fromfile(self._raw, RECORD)
        counts = dict(zip(COUNTERS, self._counters(), strict=True))
        if counts["recorded"] != len(records):
            raise InfrastructureError(f"{counts['recorded']} events recorded but {len(records)} read")
        events = to_table(records, self._begin_ns)
        lost = {name: counts[name] for name in LOSSES}
        recording = {probe.program for probe in self._probes if probe.records}
        lost["lost_recursion"] = sum(map(self._bpf.missed, recording)) + self._bpf.missed_kprobes
        if self.kernel.hides_delete:
            recorded = int(np.count_nonzero(records["kind"] == Kind.CLEAR))
            lost["lost_kprobe"] = max(0, counts["clears"] - recorded)
        if self.kernel.layout:
            check_layout(self.kernel, records, counts, self._checkpoints)
        facts = {
            "clock": "ring buffer order; times are CLOCK_MONOTONIC",
            "ring_bytes": RING_BYTES,
            **self._facts(),
        }
        return Recording(self.method, events, tuple(self._checkpoints), lost, facts)

    def _counters(self) -> list[int]:
        cpus = _possible_cpus()
        values = (self._bpf.lookup("counters", struct.pack("<I", i), 8 * cpus) for i in range(len(COUNTERS)))
        return [sum(struct.unpack(f"<{cpus}Q", value)) for value in values]

    def _drain(self) -> None:
        with self._draining:
            chunk = self._ring.drain(self._raw)
            if chunk is not None:
                self._latest_s = time.monotonic()
                self._remember(np.frombuffer(chunk, RECORD))

    def _remember(self, records: NDArray[Any]) -> None:
        """Keep which tasks work on which trees."""
        operations = records[records["kind"] <= Kind.CONVERT]
        self._tasks.update(np.unique(operations["pid"]).tolist())
        # The last event of each tree tells what it is now: an address can be used again.
        ptrs, last = np.unique(operations["ptr"][::-1], return_index=True)
        rows = operations[::-1][last]
        identities = zip(rows["owner"].tolist(), rows["ino"].tolist(), rows["root"].tolist(), strict=True)
        self._trees.update(zip(ptrs.tolist(), identities, strict=True))

    def _read_trees(self) -> list[TreeContents]:
        with self._draining:
            known = dict(self._trees)
        found = self._walker.trees(list(known))
        contents = []
        for (ptr, identity), row in zip(known.items(), found, strict=True):
            # Memory of a tree that is gone may hold anything: it is ours only while it says what it was.
            found_identity = (int(row["owner"]), int(row["ino"]), int(row["root"]))
            gone = found_identity != identity or int(row["fsid"]) != self._fsid
            states = self._walker.states(0 if gone else int(row["node"]))
            contents.append(TreeContents(ptr, *identity, gone, states))
        return contents

    def _new_checkpoint(
        self, name: str, position: int, trees: list[TreeContents], reason: str = ""
    ) -> Checkpoint:
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) - self._begin_ns
        return Checkpoint(name, position // RECORD.itemsize, now, not reason, reason, tuple(trees))


def load_programs() -> BpfObject:
    """Load the programs that this kernel needs. Raises as `BpfCapture` does."""
    kernel = running_kernel()
    with _structures(kernel) as structures:
        return BpfObject(
            compiled_object(),
            structures,
            ring=("events", RING_BYTES),
            optional=[probe.program for probe in probes(kernel)],
        )


@contextmanager
def _structures(kernel: BtrfsKernel) -> Iterator[Path]:
    """Yield a file with BTF of the structures that the programs read."""
    if kernel.layout:
        yield compiled_layout(kernel.layout)
        return
    with os.fdopen(os.memfd_create("structures"), "wb") as file:
        file.write(kernel.structures)
        file.flush()
        yield Path(f"/proc/self/fd/{file.fileno()}")


def _possible_cpus() -> int:
    text = Path("/sys/devices/system/cpu/possible").read_text().strip()
    return int(text.split("-")[-1]) + 1 if text else os.cpu_count() or 1
