# SPDX-License-Identifier: GPL-2.0-or-later
"""Records of the model itself at work, as a kernel's probes would make them, for tests of the judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import wraps
from typing import Any
from unittest import mock

import numpy as np

from harness.bcache.record import RECORD, Event, Kind, NodeOnDisk, SetOnDisk
from harness.bundle import Table
from reference.bcache import alloc, btree, gc, node, requests, setup
from reference.bcache.behaviour import Behaviour
from reference.bcache.bkey import Bkey
from reference.bcache.bset import BtreeKeys
from reference.bcache.gc import GcPause
from reference.bcache.geometry import Geometry
from reference.bcache.node import Node
from reference.bcache.structs import Bucket, CacheSet, Reserve
from reference.bcache.testing import TIGHT, Work

__all__ = ["COLLECTOR", "Recorded", "columns_of", "recorded"]

COLLECTOR = 2
"""The task that collects garbage."""
HZ = 250
_ERRNO_EINTR = (1 << 32) - 4
_ERRNO_OTHER = (1 << 32) - 1
_NO_EVENT = Event(*[0] * len(Event._fields))
Wrapper = Callable[[Callable[..., Any]], Callable[..., Any]]


@dataclass
class _Probes:
    """What probes on the model have seen."""

    events: list[Event] = field(default_factory=list)
    nodes: dict[int, Node] = field(default_factory=dict)
    """By the identity of their `keys`."""
    collecting: bool = False

    def add(self, kind: Kind, b: Node | None = None, **values: int) -> None:
        """Note an event, of a node as it is."""
        e = _NO_EVENT._replace(time_ns=len(self.events), pid=COLLECTOR if self.collecting else 1, kind=kind)
        if b is not None:
            shape = {"words": b.keys.last.u64s, "nsets": b.keys.nsets, "written": b.written}
            e = e._replace(node=b.key.ptr[0], level=b.level, **shape)
        self.events.append(e._replace(**values))

    def bucket(self, kind: Kind, b: Bucket) -> None:
        """Note that the gen of a bucket is about to change."""
        gen = b.gen + 1 & 0xFF
        self.add(kind, value=b.number, status=gen, k0=int(b.gc_mark), k1=b.pin, k2=b.last_gc)

    def wrappers(self) -> Iterator[tuple[Any, str, Wrapper]]:
        """Yield where the model is to be probed, and by what."""
        yield Node, "__init__", self._node
        yield BtreeKeys, "insert_key", self._insert
        yield BtreeKeys, "sort_into", self._sort_into
        for module in (node, btree):
            yield module, "bch_btree_init_next", self._init_next
        yield node, "btree_node_write", self._before(Kind.WRITE)
        for module in (btree, gc):
            yield module, "btree_node_free", self._before(Kind.FREE)
        for module in (btree, gc, setup):
            yield module, "bch_btree_set_root", self._before(Kind.SET_ROOT)
        yield btree, "_btree_split", self._before(Kind.SPLIT)
        for module in (alloc, setup):
            yield module, "invalidate_one_bucket", self._gen(Kind.INVALIDATE)
            yield module, "bch_prio_write", self._prio_write
        yield node, "bch_inc_gen", self._gen(Kind.INC_GEN)
        yield gc, "btree_gc_mark_node", self._mark
        yield gc, "btree_gc_coalesce", self._coalesce
        yield requests, "bch_btree_gc", self._collect

    def _node(self, right: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(right)
        def made(b: Node, *arguments: Any) -> None:
            right(b, *arguments)
            self.nodes[id(b.keys)] = b
            self.add(Kind.NEW_SET, b)

        return made

    def _insert(self, right: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(right)
        def insert(keys: BtreeKeys, k: Bkey, replace_key: Bkey | None = None) -> Any:
            words = dict(zip(("k0", "k1", "k2"), k.words(), strict=False))
            if replace_key:
                words |= {
                    "value": 1,
                    **dict(zip(("old0", "old1", "old2"), replace_key.words(), strict=False)),
                }
            status = right(keys, k, replace_key)
            self.add(Kind.INSERT, self.nodes[id(keys)], status=int(status), **words)
            return status

        return insert

    def _sort_into(self, right: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(right)
        def sort_into(keys: BtreeKeys, new: BtreeKeys) -> None:
            self.add(Kind.SORT_INTO, self.nodes[id(keys)], k0=self.nodes[id(new)].key.ptr[0])
            right(keys, new)
            self.add(Kind.SORTED_INTO, self.nodes[id(new)])

        return sort_into

    def _init_next(self, right: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(right)
        def init_next(b: Node) -> None:
            self.add(Kind.INIT_NEXT, b)
            right(b)
            if b.keys.last_set_unwritten:
                place = {"value": b.keys.last.block * b.c.geometry.block_bytes, "nsets": b.keys.nsets - 1}
                self.add(Kind.NEW_SET, b, words=b.keys.sets[-2].u64s, **place)

        return init_next

    def _before(self, kind: Kind) -> Wrapper:
        def wrapper(right: Callable[..., Any]) -> Callable[..., Any]:
            @wraps(right)
            def called(b: Node, *arguments: Any) -> Any:
                self.add(kind, b)
                return right(b, *arguments)

            return called

        return wrapper

    def _gen(self, kind: Kind) -> Wrapper:
        def wrapper(right: Callable[..., Any]) -> Callable[..., Any]:
            @wraps(right)
            def called(c: CacheSet, b: Bucket) -> Any:
                self.bucket(kind, b)
                return right(c, b)

            return called

        return wrapper

    def _prio_write(self, right: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(right)
        def prio_write(c: CacheSet) -> Any:
            self.add(Kind.PRIO_WRITE)
            written = right(c)
            self.add(Kind.PRIO_WRITTEN, value=0 if written else _ERRNO_OTHER)
            return written

        return prio_write

    def _mark(self, right: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(right)
        def mark(run: Any, b: Node) -> Any:
            g = run.gc
            sums = {"k0": g.nodes, "k1": g.nodes_pre, "k2": g.nkeys, "old0": g.key_bytes, "old1": g.data}
            self.add(Kind.GC_MARK, b, reserve=_reserve(run.c), **sums)
            return right(run, b)

        return mark

    def _coalesce(self, right: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(right)
        def coalesce(run: Any, b: Node, r: Any) -> Any:
            met = [merge for merge in r if merge.b is not None]
            ptrs = [merge.b.key.ptr[0] for merge in met] + [0] * (4 - len(met))
            words = [merge.keys for merge in met] + [0] * (4 - len(met))
            window = dict(zip(("k0", "k1", "k2", "old0"), ptrs, strict=True))
            window |= {"old1": words[0] | words[1] << 32, "old2": words[2] | words[3] << 32}
            self.add(Kind.GC_COALESCE, b, reserve=_reserve(run.c), value=run.c.root.level, **window)
            done = right(run, b, r)
            self.add(Kind.GC_COALESCED, value=_ERRNO_EINTR if done else 0)
            return done

        return coalesce

    def _collect(self, right: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(right)
        def collect(c: CacheSet, op: Any) -> Iterator[GcPause]:
            self.collecting = True
            self.add(Kind.GC_START)
            for pause in right(c, op):
                self.add(Kind.GC_PAUSE, value=-(-pause.sleep_ms * HZ // 1000), k2=c.bucket_wait_cnt)
                yield pause
            g = c.gc_stats
            self.add(Kind.GC_FINISH)
            self.add(Kind.GC_STATS, k0=g.nodes, k1=g.key_bytes, k2=g.nkeys, old0=g.data)
            self.collecting = False

        return collect


def _reserve(c: CacheSet) -> int:
    return len(c.cache.free[Reserve.BTREE])


@contextmanager
def _probed(probes: _Probes) -> Iterator[None]:
    with ExitStack() as made:
        for place, name, wrapper in probes.wrappers():
            made.enter_context(mock.patch.object(place, name, wrapper(getattr(place, name))))
        yield


@dataclass(frozen=True)
class Recorded:
    """A record of the model."""

    events: list[Event]
    found: SetOnDisk
    broke_down: bool
    """The model came upon a BUG_ON of its own: what is on its disk says nothing."""


def recorded(
    seed: int,
    operations: int = 600,
    geometry: Geometry = TIGHT,
    behaviour: Behaviour = Behaviour.linux_7_2,
) -> Recorded:
    """Return the record of random work on the model, and what it leaves on its disk."""
    probes = _Probes()
    broke_down = True
    with _probed(probes):
        work = Work(seed, geometry, behaviour)
        with suppress(AssertionError, LookupError, StopIteration):
            for _ in range(operations):
                work.one()
            work.requests.flush()
            broke_down = False
    c = work.c
    nodes = [
        NodeOnDisk(b.key.copy(), b.level, [[k.copy() for k in keys] for keys in b.on_disk])
        for b in c.nodes.values()
    ]
    found = SetOnDisk(
        bucket_size=geometry.bucket_size,
        block_size=geometry.block_size,
        nbuckets=geometry.nbuckets,
        first_bucket=geometry.first_bucket,
        nodes=nodes,
        gens=bytes(c.cache.disk_gens),
        members=[] if c.behaviour.gc_pauses_for_searches_only else ["bucket_wait_cnt"],
        ticks_per_s=HZ,
    )
    return Recorded(probes.events, found, broke_down)


def columns_of(events: list[Event]) -> Table:
    """Return events as the columns that a capture delivers."""
    columns = zip(*events, strict=True)
    return {name: np.array(column, RECORD[name]) for name, column in zip(Event._fields, columns, strict=True)}
