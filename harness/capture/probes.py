# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the programs of `extent_io.bpf.c` are attached, which differs between kernels."""

from __future__ import annotations

from dataclasses import dataclass

from harness.capture.kernel import CLEAR_FUNCTION, BtrfsKernel
from harness.capture.libbpf import Way
from harness.capture.records import Kind

__all__ = ["Probe", "probes"]


@dataclass(frozen=True)
class Probe:
    """One program at one place."""

    program: str
    way: Way
    place: str
    records: bool = True
    """Events are lost when the kernel leaves it out."""


def probes(kernel: BtrfsKernel) -> list[Probe]:
    """Return what to attach to record in `kernel`, in this order."""
    found = [probe for kind in Kind for probe in _of_kind(kernel, kind)]
    if kernel.layout:
        # Behind on_set: it compares what that has read.
        found.append(Probe("compare_set", "tracepoint", kernel.tracepoints[Kind.SET], records=False))
    return found


def _of_kind(kernel: BtrfsKernel, kind: Kind) -> list[Probe]:
    tracepoint, program = kernel.tracepoints[kind], f"on_{kind.name.lower()}"
    if kernel.preempts:
        call = Probe(f"{program}_call", "kprobe", f"__traceiter_{tracepoint}")
        return [call, *[Probe("nothing", "raw_tracepoint", tracepoint, records=False)] * 2]
    if kind == Kind.CLEAR and kernel.hides_delete:
        # The entry first: no clear may be counted that was not recorded.
        entry = Probe("on_clear_entry", "kprobe", CLEAR_FUNCTION)
        return [entry, Probe("on_clear_seen", "raw_tracepoint", tracepoint)]
    return [Probe(program, "raw_tracepoint", tracepoint)]
