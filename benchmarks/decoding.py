# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure how fast a record is decoded: `python -m benchmarks.decoding [--events N]`. Needs root.

One workload is recorded in three ways at the same time: as pages of the trace buffer, as records of the BPF
ring, and as the text of a second tracing instance. Each is then made into the bundle's table: the first two
by numpy, the text by a plain Python loop. Finding the events in the pages is measured by itself too. Text and
pages must tell the same operations.
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import arguments, in_turns, median_range, run, show_machine, workspace
from harness import fileops
from harness.bundle import Table
from harness.capture import tracefs
from harness.capture.extent_io import BpfCapture
from harness.capture.records import RECORD, Kind, to_table
from harness.capture.ringpages import PAGE_BYTES, Payloads, decode_pages
from harness.capture.tracefs import TracefsCapture
from harness.errors import InfrastructureError
from loopdevs import BtrfsLayout, Workspace

__all__ = ["main"]

KINDS = {
    "btrfs_set_extent_bit": Kind.SET,
    "btrfs_clear_extent_bit": Kind.CLEAR,
    "btrfs_convert_extent_bit": Kind.CONVERT,
    "btrfs_alloc_extent_state": Kind.ALLOC,
    "btrfs_free_extent_state": Kind.FREE,
}
WAYS = (
    "text to table, Python loop",
    "pages to table, numpy",
    "pages to events, numpy",
    "BPF ring to table, numpy",
)
LINE = re.compile(r".*-(\d+) +\[(\d+)\] \S+ +(\d+): (\w+): (.*)")
BLOCKS = 2000
SETTLE_S = 0.3

Row = tuple[int, int, int, int, int, int, int, int, int]
"""Time, kind, task, CPU, start, length, inode, bits, state."""


@dataclass(frozen=True)
class Recorded:
    """One workload, recorded in three ways."""

    bits: dict[str, int]
    fsid: str
    text: Path
    pages: Path
    ring: Path


def text_rows(recorded: Recorded) -> list[Row]:
    """Read the text as one would in a script: line by line, our operations and the states they make."""
    flags: dict[str, int] = {}
    in_ours: dict[int, bool] = {}
    rows: list[Row] = []
    with recorded.text.open() as lines:
        for line in lines:
            match = LINE.match(line)
            if match is None:
                continue
            pid, cpu, at, kind = int(match[1]), int(match[2]), int(match[3]), KINDS[match[4]]
            words = match[5].split()
            if kind <= Kind.CONVERT:
                ours = words[0][:-1] == recorded.fsid and words[1] == "io_tree=INODE_IO"
                in_ours[pid] = ours
                if ours:
                    names = words[6].partition("=")[2]
                    if names not in flags:
                        flags[names] = flag_bits(names, recorded.bits)
                    start, length, ino = int(words[4][6:]), int(words[5][4:]), int(words[2][4:])
                    rows.append((at, kind, pid, cpu, start, length, ino, flags[names], 0))
            elif kind == Kind.FREE or in_ours.get(pid):
                rows.append((at, kind, pid, cpu, 0, 0, 0, 0, int(words[0][6:], 16)))
    return rows


def flag_bits(names: str, bits: dict[str, int]) -> int:
    """Return the bits that the kernel printed by name, or as a number where the event has no name."""
    return sum(int(n, 16) if n.startswith("0x") else bits[f"EXTENT_{n}"] for n in names.split("|"))


def payloads_of(pages: Path) -> Payloads:
    """Find the events in a file of pages."""
    return decode_pages(np.fromfile(pages, np.uint8).reshape(-1, PAGE_BYTES))


def found_events(pages: Path) -> tuple[NDArray[Any], ...]:
    """Find the events in the pages, and read of each its type, task and first field."""
    payloads = payloads_of(pages)
    return payloads.time, payloads.u16(0), payloads.u32(4), payloads.u64(8)


def ring_table(recorded: Recorded) -> Table:
    """Make the table from the records of the BPF ring."""
    return to_table(np.fromfile(recorded.ring, RECORD), begin_ns=0)


def check_same(rows: list[Row], table: Table) -> int:
    """Return how many operations text and pages have in common: all, or InfrastructureError.

    Task by task: two instances may number events of two CPUs in different orders.
    """
    chosen = np.flatnonzero(table["kind"] <= Kind.CONVERT)
    columns = ("pid", "kind", "start", "len", "ino", "bits")
    pages = np.stack([table[name][chosen].astype(np.uint64) for name in columns])
    text = np.array([(r[2], r[1], *r[4:8]) for r in rows if r[1] <= Kind.CONVERT], np.uint64).T
    if not np.array_equal(by_task(text), by_task(pages)):
        raise InfrastructureError("the text and the pages of one workload tell different operations")
    return len(chosen)


def by_task(columns: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the columns with each task's events together; the first column is the task."""
    return columns[:, np.argsort(columns[0], kind="stable")]


def timed(decode: Callable[[], object]) -> Callable[[], float]:
    """Return a measurement of `decode`, s."""

    def measure() -> float:
        begin = time.perf_counter()
        decode()
        return time.perf_counter() - begin

    return measure


def start_text(instance: Path) -> None:
    """Let a tracing instance keep the same events for its `trace` file."""
    (instance / "trace_clock").write_text("counter")
    (instance / "buffer_size_kb").write_text(str(tracefs.BUFFER_KIB))
    for name in KINDS:
        (instance / "events/btrfs" / name / "enable").write_text("1")


def work(folder: Path, events: int) -> None:
    """Dirty, write back and remove scattered blocks until about `events` events have happened."""
    # A block that is dirtied, written back and dropped takes some twenty events.
    for number in range(max(1, events // (20 * BLOCKS))):
        fileops.write_scattered(folder / f"file-{number}", BLOCKS, number)
        fileops.fsync(folder / f"file-{number}")
        (folder / f"file-{number}").unlink()


def record(place: Workspace, events: int) -> tuple[Recorded, TracefsCapture]:
    """Record the workload; the capture of pages stays open, at rest, to be decoded again and again."""
    with place.btrfs(BtrfsLayout(size_bytes=4 << 30)) as filesystem:
        text, instance = place.tracing(), place.tracing()
        start_text(text)
        pages = TracefsCapture(filesystem.fsid, instance, place.path("pages"))
        ring = BpfCapture(filesystem.fsid, place.path("ring"))
        place.path("ring-kept").hardlink_to(place.path("ring"))
        filesystem.mount()
        work(filesystem.mountpoint, events)
        filesystem.umount()
        for stopped in (text, instance):
            (stopped / "tracing_on").write_text("0")
        time.sleep(SETTLE_S)
        pages._raw.flush()
        ring.stop()
        place.path("text").write_text((text / "trace").read_text())
        kept = [place.path(name) for name in ("text", "pages", "ring-kept")]
        return Recorded(pages.bits, filesystem.fsid, *kept), pages


def main() -> None:
    """Print events per second of each way, and how much faster than the loop over text it is."""
    options = arguments(
        "Speed of decoding a record, against a plain loop over the text of the same events.",
        events=(400_000, "events to record, about"),
        repetitions=(5, "repetitions of each way"),
    )
    deadline = time.monotonic() + options.deadline
    show_machine()
    with workspace() as place:
        recorded, pages = record(place, options.events)
        try:

            def page_table() -> Table:
                # What stop() does with the pages, without ending the capture.
                return pages._events(payloads_of(recorded.pages))

            same = check_same(text_rows(recorded), page_table())
            with recorded.text.open() as lines:
                in_text = sum(LINE.match(line) is not None for line in lines)
            in_pages = len(found_events(recorded.pages)[0])
            in_ring = len(ring_table(recorded)["kind"])
            counts = dict(zip(WAYS, (in_text, in_pages, in_pages, in_ring), strict=True))
            decoders = (
                lambda: text_rows(recorded),
                page_table,
                lambda: found_events(recorded.pages),
                lambda: ring_table(recorded),
            )
            ways = {name: timed(decoder) for name, decoder in zip(WAYS, decoders, strict=True)}
            measured = in_turns(ways, options.repetitions, deadline)
        finally:
            pages.close()
    print(f"{same:,} operations are the same in the text and in the pages")
    show(measured, counts)


def show(measured: dict[str, list[float]], counts: dict[str, int]) -> None:
    """Print the table."""
    rates = {name: [counts[name] / s for s in seconds] for name, seconds in measured.items()}
    text = rates[WAYS[0]]
    print(f"{'way':<27} {'events':>9} {'events/s':>12}  ratio to the loop, median (range)")
    for name, values in rates.items():
        ratios = [a / b for a, b in zip(values, text, strict=True)]
        rate = statistics.median(values)
        print(f"{name:<27} {counts[name]:>9,} {rate:>12,.0f}  {median_range(ratios, '.1f')}")


if __name__ == "__main__":
    run(main)
