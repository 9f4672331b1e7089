# SPDX-License-Identifier: GPL-2.0-or-later
"""Both captures on the real kernel: nothing lost or foreign in them, nothing left after them."""

from __future__ import annotations

import errno
import os
import re
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from numpy.typing import NDArray

from harness import fileops
from harness.bundle import Table
from harness.capture import drained, extent_io, tracefs
from harness.capture.checkpoints import Checkpoint
from harness.capture.choice import prepared_bpf
from harness.capture.extent_io import BpfCapture
from harness.capture.probes import Probe, probes
from harness.capture.records import EVENT_BYTES, Kind, foreign_frees, latest_operation
from harness.capture.ring import RingReader
from harness.capture.ringpages import Payloads, decode_pages
from harness.capture.tracefs import TracefsCapture
from harness.errors import InfrastructureError
from loopdevs import BtrfsFilesystem, BtrfsLayout, Workspace

pytestmark = pytest.mark.live

LAYOUT = BtrfsLayout(size_bytes=1 << 30)
NEVER_S = 3600.0


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path / "run") as workspace:
        yield workspace


@pytest.fixture
def filesystem(workspace: Workspace) -> BtrfsFilesystem:
    return workspace.btrfs(LAYOUT)


def bpf_capture(workspace: Workspace, filesystem: BtrfsFilesystem) -> BpfCapture:
    return BpfCapture(filesystem.fsid, workspace.path(f"bpf-{filesystem.fsid}"))


def tracefs_capture(workspace: Workspace, filesystem: BtrfsFilesystem) -> TracefsCapture:
    return TracefsCapture(filesystem.fsid, workspace.tracing(), workspace.path("tracefs.raw"))


def work(folder: Path, seed: int) -> None:
    """Do all that makes an inode's tree change: delalloc, direct I/O, preallocation, truncation, deletion."""
    fileops.write_scattered(folder / f"scattered-{seed}", 200, seed)
    fileops.direct_write(folder / f"direct-{seed}", 0, 1 << 20, seed)
    fileops.fallocate(folder / f"allocated-{seed}", fileops.FallocateMode.ALLOCATE, 0, 1 << 20)
    fileops.write(folder / f"allocated-{seed}", 4096, 65536, seed)
    fileops.fsync(folder / f"scattered-{seed}")
    fileops.truncate(folder / f"scattered-{seed}", 100_000)
    (folder / f"direct-{seed}").unlink()


def in_tasks(folders: list[Path]) -> list[int]:
    """Work in each folder at the same time; return the thread that did it."""
    threads = [threading.Thread(target=work, args=(folder, n)) for n, folder in enumerate(folders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [thread.native_id or 0 for thread in threads]


def left_over(scratch: Path) -> list[str]:
    """Return what is left of captures: BPF objects, mappings, pipes, the thread, the file of events."""
    links = list(Path("/proc/self/fd").iterdir())
    open_files = [str(link.readlink()) for link in links if link.is_symlink()]
    left = [name for name in open_files if re.search(rf"anon_inode:bpf|trace_pipe|{scratch}", name)]
    left += [line for line in Path("/proc/self/maps").read_text().splitlines() if "anon_inode:bpf" in line]
    left += [thread.name for thread in threading.enumerate() if thread.name == "capture"]
    return left + ([str(scratch)] if scratch.exists() else [])


def rows(events: Table, chosen: NDArray[Any], columns: tuple[str, ...]) -> dict[int, list[Any]]:
    """Return the chosen events by task, as tuples of the columns, in order."""
    by_task = defaultdict(list)
    values = zip(*(events[column][chosen].tolist() for column in columns), strict=True)
    for pid, value in zip(events["pid"][chosen].tolist(), values, strict=True):
        by_task[pid].append(value)
    return dict(by_task)


def states_of(events: Table, operations: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark the allocations made in the given operations, and the frees of the states they made."""
    entry = events["kind"] <= Kind.CONVERT
    latest, _ = latest_operation(events["pid"], entry)
    entries = np.flatnonzero(entry)
    wanted = {}
    marked = np.zeros(len(entry), bool)
    for event in np.flatnonzero(~entry).tolist():
        ptr = int(events["ptr"][event])
        if events["kind"][event] == Kind.ALLOC:
            wanted[ptr] = latest[event] >= 0 and bool(operations[entries[latest[event]]])
        marked[event] = wanted[ptr]
    return marked


def test_two_ways_of_recording_see_the_same(workspace: Workspace, filesystem: BtrfsFilesystem) -> None:
    bpf = bpf_capture(workspace, filesystem)
    trace = tracefs_capture(workspace, filesystem)
    filesystem.mount()
    in_tasks([filesystem.mountpoint] * 3)
    filesystem.umount()
    by_trace, by_bpf = trace.stop(), bpf.stop()
    assert not any(by_trace.lost.values())
    assert not any(by_bpf.lost.values())

    there, here = by_trace.events, by_bpf.events
    inodes = here["owner"] == bpf.kernel.owners["IO_TREE_INODE_IO"]
    ours = inodes & (here["kind"] <= Kind.CONVERT)
    theirs = there["kind"] <= Kind.CONVERT
    columns = ("kind", "start", "len", "bits", "clear_bits", "root", "ino", "owner")
    expected = rows(here, ours, columns)
    assert sum(map(len, expected.values())) > 1000
    assert len(expected) > 3
    assert rows(there, theirs, columns) == expected

    made = states_of(here, ours)
    for kind in (Kind.ALLOC, Kind.FREE):
        expected = rows(here, made & (here["kind"] == kind), ("ptr",))
        assert expected
        assert rows(there, there["kind"] == kind, ("ptr",)) == expected
    # Both clocks tell the time of the same moments.
    assert abs(int(there["time_ns"].max()) - int(here["time_ns"].max())) < 5e9


def test_a_burst_is_recorded_whole_with_true_checkpoints(
    workspace: Workspace, filesystem: BtrfsFilesystem
) -> None:
    capture = bpf_capture(workspace, filesystem)
    filesystem.mount()
    in_tasks([filesystem.mountpoint] * 4)
    capture.checkpoint("after the burst")
    fileops.write_scattered(filesystem.mountpoint / "late", 3000, 9)
    capture.checkpoint("dirty")
    filesystem.umount()
    capture.checkpoint("unmounted")
    recording = capture.stop()
    assert recording.lost == dict.fromkeys(("lost_ring", "lost_task", "lost_state", "lost_recursion"), 0)
    assert len(recording.events["kind"]) > 10_000
    assert np.all(np.diff(recording.events["time_ns"].astype(np.int64)) > -1_000_000)
    assert [c.name for c in recording.checkpoints] == ["after the burst", "dirty", "unmounted"]
    for checkpoint in recording.checkpoints:
        check_contents(recording.events, checkpoint)
    _, dirty, unmounted = recording.checkpoints
    assert dirty.live_states > 0
    assert unmounted.at_event == len(recording.events["kind"])
    assert all(tree.gone or not len(tree.states) for tree in unmounted.trees)


def test_a_checkpoint_asks_for_every_task_at_work(
    workspace: Workspace, filesystem: BtrfsFilesystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: set[int] = set()

    def busy(tasks: tuple[int, ...]) -> bool:
        asked.update(tasks)
        return True

    monkeypatch.setattr(extent_io, "may_be_busy", busy)
    capture = bpf_capture(workspace, filesystem)
    filesystem.mount()
    tasks = in_tasks([filesystem.mountpoint] * 2)
    capture.checkpoint("done")
    filesystem.umount()
    events = capture.stop().events
    assert asked >= set(tasks)
    assert asked <= set(events["pid"][events["kind"] <= Kind.CONVERT].tolist())


def check_contents(events: Table, checkpoint: Checkpoint) -> None:
    """What the trees hold is in order, and all of it is alive after the events recorded so far."""
    assert checkpoint.valid, checkpoint.reason
    kind, ptr = events["kind"][: checkpoint.at_event], events["ptr"][: checkpoint.at_event]
    known = set(ptr[kind <= Kind.CONVERT].tolist())
    balance: dict[int, int] = defaultdict(int)
    for state, freed in zip(ptr[kind >= Kind.ALLOC], kind[kind >= Kind.ALLOC] == Kind.FREE, strict=True):
        balance[int(state)] += -1 if freed else 1
    for tree in checkpoint.trees:
        assert tree.tree in known
        states = tree.states
        assert np.all(states["start"] <= states["end"])
        assert np.all(states["end"][:-1] < states["start"][1:])
        assert np.all(states["refs"] > 0)
        assert np.all(states["bits"] != 0)
        assert all(balance[state] == 1 for state in states["ptr"].tolist())


def test_captures_of_two_file_systems_are_apart(workspace: Workspace) -> None:
    systems = [workspace.btrfs(LAYOUT), workspace.btrfs(LAYOUT)]
    captures = [bpf_capture(workspace, fs) for fs in systems]
    for fs in systems:
        fs.mount()
    tasks = in_tasks([fs.mountpoint for fs in systems])
    for fs in systems:
        fs.umount()
    for capture, own, other in zip(captures, tasks, reversed(tasks), strict=True):
        recording = capture.stop()
        assert not any(recording.lost.values())
        pids = recording.events["pid"][recording.events["kind"] != Kind.FREE]
        assert own in pids
        assert other not in pids
        kind, ptr = recording.events["kind"], recording.events["ptr"]
        assert not foreign_frees(kind, ptr).any()


def test_closing_without_a_recording_leaves_nothing(
    workspace: Workspace, filesystem: BtrfsFilesystem
) -> None:
    captures = bpf_capture(workspace, filesystem), tracefs_capture(workspace, filesystem)
    scratches = workspace.path(f"bpf-{filesystem.fsid}"), workspace.path("tracefs.raw")
    filesystem.mount()
    work(filesystem.mountpoint, 1)
    for scratch in scratches:
        assert len(left_over(scratch)) > 3
    for capture in captures * 2:
        capture.close()
    for scratch in scratches:
        assert left_over(scratch) == []


def test_programs_that_nobody_used_are_given_back(tmp_path: Path) -> None:
    """They are loaded beside mkfs, which may fail."""
    with pytest.raises(ZeroDivisionError), prepared_bpf():
        1 / 0  # noqa: B018
    assert left_over(tmp_path / "none") == []


def test_what_cannot_start_leaves_nothing(
    workspace: Workspace, filesystem: BtrfsFilesystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = Probe("on_set", "raw_tracepoint", "no_such_tracepoint")
    monkeypatch.setattr(extent_io, "probes", lambda kernel: [*probes(kernel), nowhere])
    monkeypatch.setattr(tracefs, "BUFFER_KIB", "many")
    with pytest.raises(InfrastructureError, match="cannot attach BPF program on_set to no_such_tracepoint"):
        bpf_capture(workspace, filesystem)
    assert left_over(workspace.path(f"bpf-{filesystem.fsid}")) == []
    with pytest.raises(InfrastructureError, match="tracefs refused 'many' for buffer_size_kb"):
        tracefs_capture(workspace, filesystem)
    assert left_over(workspace.path("tracefs.raw")) == []


def test_a_ring_that_is_not_understood_is_told_at_the_end(
    workspace: Workspace, filesystem: BtrfsFilesystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extent_io, "EVENT_BYTES", EVENT_BYTES - 8)
    capture = bpf_capture(workspace, filesystem)
    filesystem.mount()
    work(filesystem.mountpoint, 1)
    filesystem.umount()
    capture._thread.join(10)
    with pytest.raises(InfrastructureError, match="the event reader died: ring buffer record of 0x40 bytes"):
        capture.stop()
    assert left_over(workspace.path(f"bpf-{filesystem.fsid}")) == []


@pytest.mark.parametrize("kind", ["bpf", "tracefs"])
def test_a_full_disk_is_told_at_the_end(
    workspace: Workspace, filesystem: BtrfsFilesystem, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def full(*_arguments: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    capture: BpfCapture | TracefsCapture
    if kind == "bpf":
        monkeypatch.setattr(RingReader, "drain", full)
        capture = bpf_capture(workspace, filesystem)
        scratch = workspace.path(f"bpf-{filesystem.fsid}")
    else:
        monkeypatch.setattr(tracefs, "_read_page", full)
        capture = tracefs_capture(workspace, filesystem)
        scratch = workspace.path("tracefs.raw")
    filesystem.mount()
    filesystem.umount()
    capture._thread.join(10)
    with pytest.raises(InfrastructureError, match=r"reader died: .*No space left"):
        capture.stop()
    assert left_over(scratch) == []


def test_a_small_ring_tells_what_it_lost(
    workspace: Workspace, filesystem: BtrfsFilesystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extent_io, "RING_BYTES", 1 << 14)
    monkeypatch.setattr(drained, "POLL_S", NEVER_S)
    capture = bpf_capture(workspace, filesystem)
    filesystem.mount()
    work(filesystem.mountpoint, 1)
    filesystem.umount()
    recording = capture.stop()
    assert recording.lost["lost_ring"] > 0
    assert len(recording.events["kind"]) > 0


def test_a_small_trace_buffer_tells_what_it_lost(
    workspace: Workspace, filesystem: BtrfsFilesystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss that the pages tell (bits 30 and 31 of commit) is the loss in the statistics: counted once."""
    counts: list[int] = []
    without_count: list[int] = []
    events: list[int] = []

    def decode(pages: NDArray[np.uint8]) -> Payloads:
        commits = pages[:, 8:16].copy().view(np.uint64)[:, 0].tolist()
        for page, commit in zip(pages, commits, strict=True):
            behind = 16 + (commit & 0xFFFFF)
            if commit >> 30 & 1:
                counts.append(int.from_bytes(page[behind : behind + 8].tobytes(), "little"))
            elif commit >> 31 & 1:
                without_count.append(commit)  # there was no room for it
        payloads = decode_pages(pages)
        events.append(len(payloads.position))
        return payloads

    monkeypatch.setattr(tracefs, "BUFFER_KIB", 16)
    monkeypatch.setattr(drained, "POLL_S", NEVER_S)
    monkeypatch.setattr(tracefs, "decode_pages", decode)
    capture = tracefs_capture(workspace, filesystem)
    filesystem.mount()
    in_tasks([filesystem.mountpoint] * 2)
    filesystem.umount()
    lost = capture.stop().lost["overrun"]
    assert events[0] > 0
    assert lost > 0
    assert lost >= sum(counts)
    assert without_count or lost == sum(counts)
