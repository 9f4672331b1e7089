# SPDX-License-Identifier: GPL-2.0-or-later
"""Capture through a private tracefs instance: the way where BPF cannot be used.

Its events carry no tree address, so a tree is known by (owner, root, inode) only. That names a tree exactly
for inodes; the other owners share keys (one tree a transaction, log root or device), so their operations are
left out. The real trees cannot be read this way: there are no checkpoints.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.bundle import Table
from harness.capture.drained import DrainedCapture
from harness.capture.formats import read_format
from harness.capture.recording import Recording
from harness.capture.records import Kind, foreign_frees, latest_operation, zero_table
from harness.capture.ringpages import PAGE_BYTES, Payloads, decode_pages
from harness.errors import InfrastructureError, UserError
from reference.extent_state import FEATURES

__all__ = ["TracefsCapture"]

BUFFER_KIB = 64 << 10
"""A CPU."""
# Field of the event -> column of the record; a set in a convert event is `bits`, alone in a clear event too.
_WORDS = {"owner": "owner", "set_bits": "bits", "clear_bits": "clear_bits"}
_LONGS = {"ino": "ino", "rootid": "root", "start": "start", "len": "len", "state": "ptr"}
_LOSSES = ("overrun", "commit overrun", "dropped events")


class TracefsCapture(DrainedCapture):
    """Records one file system through `instance`, a tracefs instance made for it and removed at the end."""

    method = "tracefs"

    def __init__(self, fsid: str, instance: Path, scratch: Path, features: Sequence[str] = FEATURES) -> None:
        self._fsid = np.frombuffer(uuid.UUID(fsid).bytes, np.uint64)
        self._instance = instance
        self._page_cpus: list[int] = []
        self._clock: list[tuple[int, int]] = []
        super().__init__(scratch, features)

    def _start(self, made: ExitStack) -> None:
        made.callback(self._instance.rmdir)
        if self.kernel.hides_delete:
            raise UserError(
                "this kernel's trace events do not tell which clears remove all bits: record by BPF"
            )
        names = self.kernel.tracepoints
        events = self._instance / "events" / "btrfs"
        self._formats = {kind: read_format(events, name) for kind, name in names.items()}
        self._write("trace_clock", "counter")
        self._write("buffer_size_kb", str(BUFFER_KIB))
        for name in names.values():
            self._write(f"events/btrfs/{name}/enable", "1")
        cpus = sorted((self._instance / "per_cpu").glob("cpu*"), key=lambda p: int(p.name[3:]))
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        self._pipes = {int(p.name[3:]): os.open(p / "trace_pipe_raw", flags) for p in cpus}
        for pipe in self._pipes.values():
            made.callback(os.close, pipe)
        self._start_thread(made)

    def _halt(self) -> None:
        self._write("tracing_on", "0")

    def checkpoint(self, name: str) -> None:
        """Do nothing: the trees cannot be read without BPF."""

    def _recording(self) -> Recording:
        pages = np.fromfile(self._raw, np.uint8).reshape(-1, PAGE_BYTES)
        events = self._events(decode_pages(pages))
        facts = {
            "clock": "counter; times are interpolated between reads of the buffer",
            "ring_bytes": BUFFER_KIB << 10,
            **self._facts(),
        }
        return Recording(self.method, events, (), self._lost(), facts)

    def _events(self, payloads: Payloads) -> Table:
        payloads = payloads.take(np.argsort(payloads.time, kind="stable"))
        table = zero_table(len(payloads.position))
        event_id = payloads.u16(0)
        ours = np.zeros(len(event_id), bool)
        for kind, format_ in self._formats.items():
            rows = np.flatnonzero(event_id == format_.number)
            taken = payloads.take(rows)
            _fill(table, rows, kind, taken, format_.fields)
            ours[rows] = self._is_ours(taken, format_.fields) if kind <= Kind.CONVERT else True
        table["pid"] = payloads.u32(4)
        table["cpu"] = np.array(self._page_cpus, np.uint16)[payloads.page]
        table["time_ns"] = self._times(payloads.time)
        kept = np.flatnonzero(_of_known_tasks(table, ours))
        kept = kept[~foreign_frees(table["kind"][kept], table["ptr"][kept])]
        table = {name: column[kept] for name, column in table.items()}
        _name_trees(table)
        return table

    def _is_ours(self, payloads: Payloads, fields: Mapping[str, int]) -> NDArray[np.bool_]:
        halves = (payloads.u64(fields["fsid"]), payloads.u64(fields["fsid"] + 8))
        owner = payloads.u32(fields["owner"])
        same = (halves[0] == self._fsid[0]) & (halves[1] == self._fsid[1])
        ours: NDArray[np.bool_] = same & (owner == self.kernel.owners["IO_TREE_INODE_IO"])
        return ours

    def _times(self, counter: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return ns since recording began."""
        if not self._clock:
            return np.zeros(len(counter), np.uint64)
        seen, when = (np.array(column, np.float64) for column in zip(*self._clock, strict=True))
        return np.interp(counter.astype(np.float64), seen, when - self._begin_ns).astype(np.uint64)

    def _lost(self) -> dict[str, int]:
        lost = dict.fromkeys(_LOSSES, 0)
        for cpu in self._pipes:
            text = (self._instance / f"per_cpu/cpu{cpu}/stats").read_text()
            stats = dict(line.split(": ") for line in text.splitlines())
            for reason in _LOSSES:
                lost[reason] += int(stats[reason])
        return lost

    def _drain(self) -> None:
        newest = 0
        for cpu, pipe in self._pipes.items():
            while page := _read_page(pipe):
                newest = max(newest, int.from_bytes(page[:8], "little"))
                self._raw.write(page.ljust(PAGE_BYTES, b"\0"))
                self._page_cpus.append(cpu)
        if newest:
            self._clock.append((newest, time.clock_gettime_ns(time.CLOCK_MONOTONIC)))

    def _write(self, name: str, value: str) -> None:
        try:
            (self._instance / name).write_text(value)
        except OSError as error:
            raise InfrastructureError(f"tracefs refused {value!r} for {name}: {error.strerror}") from error


def _fill(
    table: Table, rows: NDArray[np.int64], kind: Kind, payloads: Payloads, fields: Mapping[str, int]
) -> None:
    table["kind"][rows] = kind
    for field, column in _WORDS.items():
        if field in fields:
            table[column][rows] = payloads.u32(fields[field])
    for field, column in _LONGS.items():
        if field in fields:
            table[column][rows] = payloads.u64(fields[field])
    if kind == Kind.CLEAR:
        table["bits"][rows] = table["clear_bits"][rows]
        table["clear_bits"][rows] = 0


def _of_known_tasks(table: Table, ours: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Choose our operations, the allocations made in them, and all frees."""
    entry = table["kind"] <= Kind.CONVERT
    latest, _ = latest_operation(table["pid"], entry)
    entries = np.flatnonzero(entry)
    alloc = np.flatnonzero(table["kind"] == Kind.ALLOC)
    kept = ours.copy()
    kept[alloc] = False
    made = alloc[latest[alloc] >= 0]
    kept[made] = ours[entries[latest[made]]]
    return kept


def _name_trees(table: Table) -> None:
    """Give each tree a number of its own in place of its address."""
    rows = np.flatnonzero(table["kind"] <= Kind.CONVERT)
    # Each column by itself: numbers sort several times faster than pairs.
    _, root = np.unique(table["root"][rows], return_inverse=True)
    inodes, inode = np.unique(table["ino"][rows], return_inverse=True)
    _, number = np.unique(root * len(inodes) + inode, return_inverse=True)
    table["ptr"][rows] = number + 1


def _read_page(pipe: int) -> bytes:
    try:
        return os.read(pipe, PAGE_BYTES)
    except BlockingIOError:
        return b""
