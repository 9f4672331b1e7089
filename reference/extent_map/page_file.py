# SPDX-License-Identifier: GPL-2.0-or-later
"""The file of a `Mount` as one that fsx can operate on, with faults at chosen places."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from reference.extent_map.behaviour import Behaviour
from reference.extent_map.mount import Mount
from reference.extent_map.page_behaviour import PageBehaviour
from reference.extent_map.page_invariants import validate_at_rest
from reference.fsx import Answer, Kind, Operation, pattern
from reference.machine import Interrupt, Interrupts, LeakedReference, Steps, run_alone
from reference.page_cache.bio import READ, Bio

__all__ = ["OUTAGE", "Completions", "Faults", "PageCacheFile", "Setting"]

OUTAGE = 4
"""Bios: a page of small blocks."""

T = TypeVar("T")
Pick = Callable[[Sequence[Interrupt]], int]


class Completions(StrEnum):
    """When bios are done."""

    AT_ONCE = "at once"
    """At the next stop of whoever submitted them."""
    IN_ORDER = "in order"
    """When somebody waits, oldest first."""
    REVERSED = "reversed"
    """When somebody waits, youngest first."""


@dataclass(frozen=True)
class Faults:
    """What fails, by number from 1 on; 0 is none."""

    read: int = 0
    """The bio that reads, and OUTAGE - 1 more after it."""
    write: int = 0
    """The bio that writes."""
    lookup: int = 0
    """The call of ext2_get_block: -EIO."""
    mapping: int = 0
    """The allocation of an extent_map."""

    def __bool__(self) -> bool:
        return bool(self.read or self.write or self.lookup or self.mapping)


@dataclass(frozen=True)
class Setting:
    """A file's surroundings."""

    trees: Behaviour = Behaviour.corrected_rbtree
    pages: PageBehaviour = PageBehaviour.corrected
    block_size: int = 4096
    """Bytes."""
    blocks: int = 64
    """Of the disk, the boot block included."""
    completions: Completions = Completions.AT_ONCE
    faults: Faults = Faults()
    bits_per_long: int = 64


class PageCacheFile:
    """An empty file; `execute` does what `reference.fsx.FileUnderTest` asks for.

    FSYNC and REMOUNT check the invariants afterwards, and raise what these raise. INVALIDATE lets pdflush
    start to write first. `pick` replaces the order of completions (for random ones), together with `eager`.
    """

    def __init__(self, setting: Setting, pick: Pick | None = None) -> None:
        self.interrupts = Interrupts()
        self.mount = Mount(
            self.interrupts,
            setting.trees,
            setting.pages,
            block_size=setting.block_size,
            blocks=setting.blocks,
            bits_per_long=setting.bits_per_long,
        )
        self._injected = False
        self.dropped = False
        """Whether pages were dropped since something failed."""
        self.eager = setting.completions is Completions.AT_ONCE
        self._pick = pick or (_last if setting.completions is Completions.REVERSED else None)
        self._faults = setting.faults
        self._inject(setting.faults)
        self._functions: dict[Kind, Callable[[Operation], Answer]] = {
            Kind.READ: self._read,
            Kind.MAP_READ: self._map_read,
            Kind.WRITE: self._write,
            Kind.MAP_WRITE: self._map_write,
            Kind.TRUNCATE: self._truncate,
            Kind.FSYNC: self._fsync,
            Kind.INVALIDATE: self._invalidate,
            Kind.REMOUNT: self._remount,
        }

    KINDS = (
        *(Kind.READ, Kind.MAP_READ, Kind.WRITE, Kind.MAP_WRITE),
        *(Kind.TRUNCATE, Kind.FSYNC, Kind.INVALIDATE, Kind.REMOUNT),
    )
    """What it can do: what a file of ext2 could in 2007, but for O_DIRECT, which the patch leaves out."""

    def execute(self, operation: Operation) -> Answer:
        """Do it, and return the bytes read, 0 or an errno."""
        return self._functions[operation.kind](operation)

    @property
    def faulted(self) -> bool:
        """Whether anything has failed, or the disk was full."""
        mapping = self._faults.mapping
        no_memory = 0 < mapping <= self.mount.tree.map_cache.allocations
        return self._injected or no_memory or self.mount.sb.refused > 0

    def run(self, steps: Steps[T]) -> T:
        """Run `steps` to the end; bios are done when the setting says so."""
        return run_alone(steps, self.interrupts, self._pick, eager=self.eager)

    def _read(self, operation: Operation) -> Answer:
        return _answer(self.run(self.mount.read(operation.offset, operation.length)))

    def _map_read(self, operation: Operation) -> Answer:
        if operation.offset + operation.length > self.mount.inode.i_size:
            return errno.EFAULT
        return _answer(self.run(self.mount.map_read(operation.offset, operation.length)))

    def _write(self, operation: Operation) -> Answer:
        written = self.run(self.mount.write(operation.offset, pattern(operation.seed, operation.length)))
        if 0 <= written < operation.length:
            # A second write(2) would have said why.
            return errno.EIO
        return -min(written, 0)

    def _map_write(self, operation: Operation) -> Answer:
        if operation.offset + operation.length > self.mount.inode.i_size:
            return errno.EFAULT
        data = pattern(operation.seed, operation.length)
        return -self.run(self.mount.map_write(operation.offset, data))

    def _truncate(self, operation: Operation) -> Answer:
        return -self.run(self.mount.truncate(operation.offset))

    def _fsync(self, _operation: Operation) -> Answer:
        error = self.run(self.mount.fsync())
        validate_at_rest(self.mount, disk_is_good=not self.faulted)
        return -error

    def _invalidate(self, _operation: Operation) -> Answer:
        self.run(self.mount.writeback())
        self.run(self.mount.invalidate())
        self.dropped = self.faulted
        return 0

    def _remount(self, _operation: Operation) -> Answer:
        error = self.run(self.mount.evict())
        validate_at_rest(self.mount, disk_is_good=not self.faulted)
        left = [*self.mount.tree.states, *self.mount.tree.maps]
        if left:
            raise LeakedReference(f"in the trees of a file without pages: {left}")
        self.dropped = self.faulted
        return -error

    def _inject(self, faults: Faults) -> None:
        count = {"read": 0, "write": 0, "lookup": 0}

        def due(what: str, number: int, times: int = 1) -> bool:
            count[what] += 1
            fails = 0 < number <= count[what] < number + times
            self._injected |= fails
            return fails

        def bio_fails(rw: int, _bio: Bio) -> bool:
            return due("read", faults.read, OUTAGE) if rw == READ else due("write", faults.write)

        def lookup_fails(_iblock: int, _create: bool) -> int:
            return -errno.EIO if due("lookup", faults.lookup) else 0

        if faults:
            self.mount.sb.s_bdev.failing = bio_fails
            self.mount.inode.failing = lookup_fails
        if faults.mapping:
            self.mount.tree.map_cache.failing = (faults.mapping,)


def _answer(found: bytes | int) -> Answer:
    return found if isinstance(found, bytes) else -found


def _last(pending: Sequence[Interrupt]) -> int:
    return len(pending) - 1
