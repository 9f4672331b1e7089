# SPDX-License-Identifier: GPL-2.0-or-later
"""Records what the kernel's bcache does to its btree and buckets, by BPF, from before a set is registered."""

from __future__ import annotations

import os
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.bcache.record import (
    EVENT_BYTES,
    RECORD,
    Event,
    Kind,
    SetOnDisk,
    save_events,
    save_set,
)
from harness.bcache.stopped import set_on_disk
from harness.bundle import BundleWriter
from harness.capture.btf import load_btf
from harness.capture.excerpt import excerpt
from harness.capture.libbpf import BpfObject, Way
from harness.capture.program import BCACHE, BCACHE_TYPES, compiled_object, structures_read
from harness.capture.recording import Recording
from harness.capture.ring import RingReader
from harness.errors import InfrastructureError
from loopdevs import bcache_control

__all__ = ["MODULE", "PROBES", "BcacheCapture", "BcacheRecording"]

MODULE = "bcache"
RING_BYTES = 64 << 20
POLL_S = 0.05
COUNTERS = ("recorded", "lost_ring", "lost_task", "keys of several pointers")
MEMBERS = ("bucket_wait_cnt",)
"""Members of `struct cache_set` that tell behaviours apart."""
USUAL_HZ = (100, 250, 300, 1000)

PROBES: tuple[tuple[str, Way, str], ...] = (
    ("on_insert", "kprobe", "bch_btree_insert_key"),
    ("on_inserted", "kretprobe", "bch_btree_insert_key"),
    ("on_sort_into", "kprobe", "bch_btree_sort_into"),
    ("on_sorted_into", "kretprobe", "bch_btree_sort_into"),
    ("on_init_next", "kprobe", "bch_btree_init_next"),
    ("on_new_set", "kprobe", "bch_bset_init_next"),
    ("on_write", "kprobe", "__bch_btree_node_write"),
    ("on_read", "kprobe", "bch_btree_node_read"),
    ("on_free", "kprobe", "btree_node_free"),
    ("on_set_root", "kprobe", "bch_btree_set_root"),
    ("on_split", "kprobe", "btree_split"),
    ("on_invalidate", "kprobe", "__bch_invalidate_one_bucket"),
    ("on_inc_gen", "kprobe", "bch_inc_gen"),
    ("on_gc_start", "kprobe", "bch_btree_gc"),
    ("on_gc_mark", "kprobe", "btree_gc_mark_node"),
    ("on_gc_coalesce", "kprobe", "btree_gc_coalesce"),
    ("on_gc_coalesced", "kretprobe", "btree_gc_coalesce"),
    ("on_pause", "kprobe", "schedule_timeout_interruptible"),
    ("on_gc_finish", "kprobe", "bch_btree_gc_finish"),
    ("on_gc_stats", "kprobe", "bch_update_bucket_in_use"),
    ("on_prio_write", "kprobe", "bch_prio_write"),
    ("on_prio_written", "kretprobe", "bch_prio_write"),
    ("on_lookup", "kprobe", "cache_lookup_fn"),
)
"""Program, how it is attached, function."""


@dataclass(frozen=True)
class BcacheRecording(Recording):
    """What was recorded, with what was on the cache device afterwards."""

    found: SetOnDisk | None = None

    def save(self, writer: BundleWriter) -> None:
        """See `Recording.save`."""
        assert self.found is not None
        save_events(writer, self.events)
        save_set(writer, self.found)


class BcacheCapture:
    """A `Capture` of the one set that the kernel is going to have."""

    def __init__(self, scratch: Path) -> None:
        """Start recording; UserError where BPF cannot be used, InfrastructureError when there is a set."""
        bcache_control.load_bcache()
        if others := bcache_control.all_sets():
            raise InfrastructureError(f"there is a set {others[0]} already: stop it, or take a fresh guest")
        self._found: SetOnDisk | None = None
        self._failure: Exception | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._drain_until_stopped, name="capture")
        self._begin_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        structures, self._members = _kernel()
        with ExitStack() as made:
            self._raw = scratch.open("w+b")
            made.callback(self._discard, scratch)
            with _file(structures) as path:
                bpf = BpfObject(compiled_object(BCACHE), path, ring=("events", RING_BYTES))
            self._bpf = made.enter_context(bpf)
            self._ring = RingReader(self._bpf.map_fd("events"), RING_BYTES, EVENT_BYTES)
            made.callback(self._ring.close)
            self._thread.start()
            made.callback(self._end_thread)
            for program, way, place in PROBES:
                self._bpf.attach(program, way, place)
            self._made = made.pop_all()

    def keep(self, cache: Path) -> None:
        """Read the cache device of the set, which is stopped by now."""
        found = set_on_disk(cache)
        self._found = replace(found, members=self._members)

    def checkpoint(self, name: str) -> None:
        """Refused: what is in memory is not read out (`Capture`)."""
        raise InfrastructureError(f"checkpoint {name}: a case of bcache has none")

    def stop(self) -> Recording:
        """Return everything recorded; InfrastructureError if the case did not come to its end."""
        self._bpf.detach()
        self._end_thread()
        if self._failure is not None:
            raise InfrastructureError(f"the event reader died: {self._failure}") from self._failure
        if self._found is None:
            raise InfrastructureError("the case did not come to the end of its work")
        self._ring.drain(self._raw)
        self._raw.seek(0)
        records = np.frombuffer(self._raw.read(), RECORD)
        counts = dict(zip(COUNTERS, self._counters(), strict=True))
        if counts.pop("recorded") != len(records):
            raise InfrastructureError(f"{len(records)} events were read, which is not what was recorded")
        missed = sum(self._bpf.missed(program) for program, *_ in PROBES) + self._bpf.missed_kprobes
        events = {name: records[name].copy() for name in Event._fields}
        events["time_ns"] -= np.uint64(self._begin_ns)
        found = replace(self._found, ticks_per_s=_ticks_per_s(records))
        facts: dict[str, Any] = {
            "clock": "ring buffer order; times are CLOCK_MONOTONIC",
            "ring_bytes": RING_BYTES,
            "features": list(self._members),
        }
        lost = {**counts, "lost_recursion": missed}
        return BcacheRecording("bpf", events, (), lost, facts, found)

    def close(self) -> None:
        """Give everything back; harmless when done before."""
        self._made.close()

    def _counters(self) -> list[int]:
        text = Path("/sys/devices/system/cpu/possible").read_text().strip()
        cpus = int(text.split("-")[-1]) + 1
        values = (self._bpf.lookup("counters", struct.pack("<I", i), 8 * cpus) for i in range(len(COUNTERS)))
        return [sum(struct.unpack(f"<{cpus}Q", value)) for value in values]

    def _end_thread(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _discard(self, scratch: Path) -> None:
        # A full disk shows again when what is still buffered is written; nobody wants that any more.
        with suppress(OSError):
            self._raw.close()
        scratch.unlink()

    def _drain_until_stopped(self) -> None:
        try:
            while not self._stopping.wait(POLL_S):
                self._ring.drain(self._raw)
        except Exception as error:
            # Its frames hold views of the buffer, which then could not be unmapped.
            self._failure = error.with_traceback(None)


@cache
def _kernel() -> tuple[bytes, tuple[str, ...]]:
    """Return BTF of the structures that the programs read, and which of `MEMBERS` there are."""
    btf = load_btf(module=MODULE)
    there = btf.members("cache_set") or frozenset()
    structures = excerpt(btf, structures_read(BCACHE_TYPES), last_only=True)
    return structures, tuple(name for name in MEMBERS if name in there)


@contextmanager
def _file(data: bytes) -> Iterator[Path]:
    with os.fdopen(os.memfd_create("structures"), "wb") as file:
        file.write(data)
        file.flush()
        yield Path(f"/proc/self/fd/{file.fileno()}")


def _ticks_per_s(records: NDArray[Any]) -> int:
    """Return how often a jiffy passes, from the events that say when they were in both clocks; 0: unknown."""
    both = records[np.isin(records["kind"], (Kind.GC_START, Kind.GC_FINISH, Kind.GC_PAUSE))]
    if len(both) < 2:
        return 0
    seconds = (int(both["time_ns"][-1]) - int(both["time_ns"][0])) / 1e9
    ticks = int(both["k0"][-1]) - int(both["k0"][0])
    return min(USUAL_HZ, key=lambda hz: abs(ticks - hz * seconds)) if ticks > 20 else 0
