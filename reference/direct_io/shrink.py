# SPDX-License-Identifier: GPL-2.0-or-later
"""Making a case smaller that shows something: fewer extents, faults and vectors, plainer devices."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from reference.direct_io.source import SINGLE, IoVec
from reference.direct_io.synthetic import BLOCK, SECTOR, Case, ChunkSpec, DiskSpec, ExtentSpec

__all__ = ["Shown", "kind_of", "shrink"]


class Shown(NamedTuple):
    """A case and what is wrong with it."""

    case: Case
    complaint: str


def kind_of(complaint: str) -> str:
    """Return what two complaints have in common that are about the same thing.

    >>> kind_of("returns 512, [4096] is due") == kind_of("returns -5, [1024] is due")
    True
    """
    return " ".join(re.sub(r"-?\b[0-9a-fx]*\d[0-9a-fx]*\b", "N", complaint).split()[:4])


def shrink(case: Case, judged: Callable[[Case], str], *, patience: int = 3000) -> Shown:
    """Return the smallest case met that shows the same kind of thing as `case`.

    `judged` says what is wrong with a case, or nothing. No single change makes the result smaller, unless
    `patience` judgements were not enough.
    """
    best = Shown(case, judged(case))
    kind = kind_of(best.complaint)
    progress = True
    while progress and patience > 0:
        progress = False
        for smaller in _smaller(best.case):
            patience -= 1
            complaint = judged(smaller)
            if complaint and kind_of(complaint) == kind:
                best, progress = Shown(smaller, complaint), True
                break
            if patience <= 0:
                break
    return best


def _smaller(case: Case) -> Iterator[Case]:
    yield from _plainer(case)
    yield from _fewer_extents(case)
    yield from _smaller_request(case)
    for number in range(len(case.faults)):
        yield replace(case, faults=case.faults[:number] + case.faults[number + 1 :])
    for number, extent in enumerate(case.extents):
        for simpler in _simpler_extents(extent):
            yield replace(case, extents=_with(case.extents, number, simpler))


def _plainer(case: Case) -> Iterator[Case]:
    """Leave out what is set for the whole case."""
    plain = Case(case.extents)
    for name in (
        "disks",
        "chunks",
        "limits",
        "unmapped",
        "allocations",
        "compound",
        "is_sync",
        "pid",
        "order",
    ):
        if getattr(case, name) != getattr(plain, name) and (name != "disks" or len(case.disks) != 1):
            value = getattr(plain, name)
            if name == "disks":
                value = (DiskSpec(),) * len(case.disks)
            if value != getattr(case, name):
                yield replace(case, **{name: value})
    for name in ("ki_left", "zero_csum", "nodatasum", "ordered_error", "cut"):
        if getattr(case, name) != getattr(plain, name):
            yield replace(case, **{name: getattr(plain, name)})
    for number, chunk in enumerate(case.chunks):
        if chunk.profile != SINGLE:
            plain_chunk = ChunkSpec(devices=chunk.devices[:1])
            yield replace(case, chunks=_with(case.chunks, number, plain_chunk))
    for number, disk in enumerate(case.disks):
        if disk != DiskSpec():
            yield replace(case, disks=_with(case.disks, number, DiskSpec()))
    if case.cut and case.cut % SECTOR:
        yield replace(case, cut=case.cut // SECTOR * SECTOR)


def _fewer_extents(case: Case) -> Iterator[Case]:
    if len(case.extents) == 1:
        return
    for number, extent in enumerate(case.extents):
        start = sum(spec.blocks for spec in case.extents[:number]) * BLOCK
        offset = case.offset
        if start + extent.blocks * BLOCK <= offset:
            offset -= extent.blocks * BLOCK
        faults = tuple(
            replace(fault, extent=fault.extent - (fault.extent > number))
            for fault in case.faults
            if fault.extent != number
        )
        extents = case.extents[:number] + case.extents[number + 1 :]
        zero_csum = case.zero_csum
        if zero_csum is not None:
            zero_csum = (
                None if zero_csum[0] == number else (zero_csum[0] - (zero_csum[0] > number), zero_csum[1])
            )
        yield replace(case, extents=extents, faults=faults, offset=offset, zero_csum=zero_csum)


def _smaller_request(case: Case) -> Iterator[Case]:
    if case.offset:
        yield replace(case, offset=0)
        yield replace(case, offset=case.offset & -BLOCK)
        yield replace(case, offset=max(0, case.offset - SECTOR))
    for number, (base, length) in enumerate(case.iov):
        if len(case.iov) > 1:
            yield replace(case, iov=case.iov[:number] + case.iov[number + 1 :])
        for smaller in (length // 2 & -SECTOR, length - BLOCK, length - SECTOR):
            if 0 < smaller < length:
                yield replace(case, iov=_with(case.iov, number, IoVec(base, smaller)))
        if base & (BLOCK - 1):
            yield replace(case, iov=_with(case.iov, number, IoVec(base & -BLOCK, length)))


def _simpler_extents(extent: ExtentSpec) -> Iterator[ExtentSpec]:
    if extent.blocks > 1:
        yield replace(extent, blocks=extent.blocks // 2)
        yield replace(extent, blocks=extent.blocks - 1)
    for name in ("gap", "before", "after", "chunk", "content"):
        if getattr(extent, name):
            change: dict[str, Any] = {name: 0}
            yield replace(extent, **change)
    if extent.kind != "plain" and not extent.kind.startswith("inline"):
        yield replace(extent, kind="plain")


def _with(values: tuple[object, ...], number: int, value: object) -> tuple:  # type: ignore[type-arg]
    return (*values[:number], value, *values[number + 1 :])
