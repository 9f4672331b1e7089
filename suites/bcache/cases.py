# SPDX-License-Identifier: GPL-2.0-or-later
"""The cases of bcache: each workload with buckets, and so nodes, of three sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from harness.cases import Case
from harness.fiojob import Options
from loopdevs import BcacheLayout
from suites.bcache.work import KIB, MIB, Work, bcache_case

__all__ = ["CASES"]

MIXED_SIZES = "512/30:1k/10:4k/40:8k/10:16k/10"


@dataclass(frozen=True)
class Size:
    """A size of buckets, and the cache that goes with it: some thousand buckets."""

    bucket_bytes: int
    cache_bytes: int

    @property
    def name(self) -> str:
        """How cases are called with it."""
        return f"{self.bucket_bytes // KIB}k"

    def layout(self, mode: str, *, cache_bytes: int = 0, writeback_percent: int = 40) -> BcacheLayout:
        """Return a layout with blocks of one sector."""
        return BcacheLayout(
            cache_bytes=cache_bytes or self.cache_bytes,
            cache_mode=mode,
            bucket_bytes=self.bucket_bytes,
            block_bytes=512,
            writeback_percent=writeback_percent,
        )


SIZES = (Size(4 * KIB, 64 * MIB), Size(16 * KIB, 96 * MIB), Size(64 * KIB, 288 * MIB))


def _scattered(work: Work) -> None:
    """Keys that nothing merges: the tree grows as deep as it gets."""
    work.write("scattered", work.part(20_000), 512, 128 * MIB)


def _overwritten(work: Work) -> None:
    """Short writes into long ones, and long ones over short ones: keys are cut, split and swallowed."""
    job: Options = {"rw": "randwrite", "bssplit": MIXED_SIZES, "io_size": work.part(24 * MIB)}
    work.fio("overwritten", {"a": job, "b": job}, size=16 * MIB)


def _missed(work: Work) -> None:
    """Reads that fill the cache, while writes go by it to the same places: fills are refused."""
    reader: Options = {"rw": "randread", "bs": "4k", "io_size": work.part(24 * MIB)}
    writer: Options = {"rw": "randwrite", "bssplit": "512/50:4k/50", "io_size": work.part(6 * MIB)}
    work.fio("missed", {"r": reader, "s": reader, "w": writer}, size=12 * MIB)


def _mixed(work: Work) -> None:
    """Reads and writes of all sizes at the same time, verified afterwards."""
    job: Options = {"rw": "randrw", "bssplit": MIXED_SIZES, "io_size": work.part(20 * MIB)}
    work.fio("mixed", {"a": job, "b": job}, size=24 * MIB)
    work.fio(
        "verified",
        {"v": {"rw": "randwrite", "bs": "4k", "io_size": work.part(4 * MIB), "verify": "crc32c"}},
        size=8 * MIB,
    )


def _sequential(work: Work) -> None:
    """Streams, each in buckets of its own: keys are merged, in front and behind."""
    stream: Options = {"rw": "write", "bs": "8k", "size": work.part(20 * MIB), "iodepth": 1}
    work.fio("streams", {n: {**stream, "offset": i * 24 * MIB} for i, n in enumerate("abc")})
    work.write("into-streams", work.part(3_000), 1024, 64 * MIB)
    work.fio("read", {"r": {"rw": "read", "bs": "16k", "size": 96 * MIB}})


def _emptied(work: Work) -> None:
    """Much is written, most of it discarded, garbage collected: leaves are rewritten and coalesced."""
    for turn in range(3):
        work.write(f"filled-{turn}", work.part(7_000), 512, 96 * MIB)
        work.discard(0.85, 96 * MIB, 256 * KIB)
        work.collect()
        work.collect()


def _full(work: Work) -> None:
    """More data than fit: buckets are invalidated and used again, stale keys go, garbage is collected."""
    job: Options = {"rw": "randrw", "bs": "4k", "io_size": work.part(16 * MIB)}
    work.fio("full", {"a": job, "b": job, "c": job}, size=192 * MIB)


def _written_back(work: Work) -> None:
    """Writeback at full speed against writes to the same places."""
    work.set("writeback_delay", "0")
    work.set("writeback_percent", "0")
    job: Options = {"rw": "randwrite", "bssplit": "512/60:4k/40", "io_size": work.part(6 * MIB)}
    work.fio("written-back", {"a": job, "b": job}, size=12 * MIB)
    work.experiment.step("flush", work.bcache.flush)


def _switched(work: Work) -> None:
    """Every mode, one after the other, with the cache taken away and given back in between."""
    job: Options = {"rw": "randrw", "bssplit": MIXED_SIZES, "io_size": work.part(5 * MIB)}
    for mode in ("writethrough", "writeback", "writearound", "none", "writeback"):
        work.set("cache_mode", mode)
        work.fio(f"in-{mode}-{len(work.experiment.steps)}", {"a": job}, size=16 * MIB)
    work.experiment.step("detach", work.bcache.detach)
    work.experiment.step("attach", work.bcache.attach)
    work.experiment.cached.link()
    work.fio("attached-again", {"a": job}, size=16 * MIB)


def _moved(work: Work) -> None:
    """Buckets with little left in them are emptied by moving that elsewhere, while others write."""
    work.set_of_cache("internal/copy_gc_enabled", "1")
    for turn in range(3):
        work.write(f"filled-{turn}", work.part(5_000), 1024, 48 * MIB)
        work.discard(0.3, 48 * MIB, 64 * KIB)
        work.collect()
        work.write(f"meanwhile-{turn}", work.part(800), 512, 48 * MIB)


def _evicted(work: Work) -> None:
    """Nodes lose their memory, and are read again from what was written of them."""
    for turn in range(3):
        work.write(f"before-{turn}", work.part(4_000), 512, 32 * MIB)
        work.collect()
        work.set_of_cache("internal/prune_cache", "100000")
        job: Options = {"rw": "randrw", "bssplit": MIXED_SIZES, "io_size": work.part(4 * MIB)}
        work.fio(f"after-{turn}", {"a": job}, size=32 * MIB)


@dataclass(frozen=True)
class Workload:
    """A workload, and the mode of the cache it is for."""

    name: str
    mode: str
    title: str
    work: Callable[[Work], None]


WORKLOADS = (
    Workload(
        "scattered", "writeback", "20,000 keys that nothing merges: a tree as deep as it gets", _scattered
    ),
    Workload(
        "overwritten",
        "writeback",
        "writes of all sizes over each other: keys are cut and split",
        _overwritten,
    ),
    Workload(
        "missed", "writearound", "misses that fill the cache against writes: fills are refused", _missed
    ),
    Workload("mixed", "writethrough", "reads and writes of all sizes at once, then verified", _mixed),
    Workload("sequential", "writeback", "three streams, read back: keys are merged", _sequential),
    Workload("emptied", "writeback", "most is discarded: leaves are rewritten and coalesced", _emptied),
    Workload("full", "writethrough", "more data than fit: buckets are used again, keys get stale", _full),
    Workload("written-back", "writeback", "writeback at full speed against writes", _written_back),
    Workload("switched", "writethrough", "all modes in turn; the cache is detached and attached", _switched),
    Workload("evicted", "writeback", "nodes are thrown out of memory and read again", _evicted),
    Workload("moved", "writeback", "what is left in almost empty buckets is moved elsewhere", _moved),
)


DATA = (
    ("scattered", 0, 0.2),
    ("emptied", 0, 0.12),
    ("missed", 0, 0.2),
    ("written-back", 1, 0.2),
    ("full", 2, 0.2),
)
"""What `suites/data/bcache` is recorded from: workload, number of the size, share of the work."""


def _cases() -> Iterator[Case]:
    for load in WORKLOADS:
        for size in SIZES:
            title = f"{load.title}; buckets of {size.name}"
            yield bcache_case(f"{load.name}-{size.name}", title, size.layout(load.mode), load.work)


def _data_cases() -> Iterator[Case]:
    loads = {load.name: load for load in WORKLOADS}
    for name, number, share in DATA:
        load, size = loads[name], SIZES[number]
        title = f"for suites/data, a part of {name}-{size.name}: {load.title}"
        layout = size.layout(load.mode)
        yield bcache_case(f"data-{name}-{size.name}", title, layout, load.work, ("data",), share=share)


CASES = (*_cases(), *_data_cases())
"""Every case."""
