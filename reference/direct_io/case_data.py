# SPDX-License-Identifier: GPL-2.0-or-later
"""A case as plain values, and in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import Any

from reference.direct_io.source import IoVec
from reference.direct_io.synthetic import Case, ChunkSpec, DiskSpec, ExtentSpec, FaultSpec
from reference.ondisk import BlockGroupFlag

__all__ = ["as_data", "lines", "of_data"]


def as_data(case: Case) -> dict[str, Any]:
    """Return what differs from the defaults, as values that JSON has."""
    data = asdict(case)
    default = asdict(Case(()))
    return {name: value for name, value in data.items() if value != default[name]}


def of_data(data: dict[str, Any]) -> Case:
    """Make the case of which `as_data` made `data`."""
    known = {field.name for field in fields(Case)}
    if not set(data) <= known:
        raise ValueError(f"a case has no {', '.join(sorted(set(data) - known))}")
    values = dict(data)
    for name in ("zero_csum", "unmapped", "limits", "allocations"):
        if name in data:
            values[name] = tuple(data[name])
    values["extents"] = tuple(ExtentSpec(**each) for each in data["extents"])
    if "chunks" in data:
        values["chunks"] = tuple(
            ChunkSpec(BlockGroupFlag(each["profile"]), tuple(each["devices"]), each["stripe_len"])
            for each in data["chunks"]
        )
    if "disks" in data:
        values["disks"] = tuple(DiskSpec(**each) for each in data["disks"])
    if "faults" in data:
        values["faults"] = tuple(FaultSpec(**each) for each in data["faults"])
    if "iov" in data:
        values["iov"] = tuple(IoVec(*each) for each in data["iov"])
    return Case(**values)


def lines(case: Case) -> list[str]:
    """Return the case in a few lines: the file, where it is, what is wrong, and the read."""
    kind = "file without checksums" if case.nodatasum else "file"
    extents = ", ".join(map(_extent, case.extents))
    told = [f"{kind} of {case.i_size} bytes: {extents}"]
    used = {extent.chunk for extent in case.extents}
    for number, chunk in enumerate(case.chunks):
        if chunk != ChunkSpec() and number in used:
            profile = (chunk.profile.name or "single").lower()
            stripes = "" if chunk.stripe_len == 64 << 10 else f", stripes of {chunk.stripe_len}"
            told.append(f"chunk {number}: {profile} on devices {', '.join(map(str, chunk.devices))}{stripes}")
    told += [
        f"device {devid}: {_disk(disk)}" for devid, disk in enumerate(case.disks, 1) if disk != DiskSpec()
    ]
    told += [_fault(fault) for fault in case.faults]
    told += _oddities(case)
    vectors = ", ".join(f"{length} at {base:#x}" for base, length in case.iov)
    told.append(f"{'read' if case.is_sync else 'asynchronous read'} at {case.offset}: {vectors}")
    return told


def _extent(extent: ExtentSpec) -> str:
    if extent.kind.startswith("inline"):
        return f"{extent.kind} {extent.inline_bytes} bytes"
    part = f" (of {extent.before}+{extent.blocks}+{extent.after})" if extent.before or extent.after else ""
    return f"{extent.kind} {extent.blocks}{part}"


def _disk(disk: DiskSpec) -> str:
    if disk.missing:
        return "missing"
    sectors = f"sectors of {disk.logical_block_size}, " if disk.logical_block_size != 512 else ""
    return f"{sectors}bios of {disk.nr_vecs} pages, {disk.max_bytes} bytes"


def _fault(fault: FaultSpec) -> str:
    copy = f" of copy {fault.copy + 1}" if fault.kind in ("corrupt", "bad") else ""
    return f"{fault.kind}: block {fault.block} of extent {fault.extent}{copy}"


def _oddities(case: Case) -> Iterator[str]:
    if case.zero_csum is not None:
        yield "checksum 0: block {1} of extent {0}".format(*case.zero_csum)
    if case.unmapped:
        yield f"user memory that is not there: pages {', '.join(map(hex, case.unmapped))}"
    if case.allocations:
        yield f"allocation {', '.join(map(str, case.allocations))} fails"
    if case.limits != Case(()).limits:
        segments, submit, done, room = case.limits
        yield f"limits: {segments} bios, {submit} and {done} user pages, {room} bytes of checksums"
    if case.ordered_error:
        yield f"waiting for ordered extents returns {case.ordered_error}"
