# SPDX-License-Identifier: GPL-2.0-or-later
"""What the running kernel calls the things that recording direct reads needs, and where they are.

Nothing is chosen by a kernel's version: its symbols and its BTF are asked.
"""

from __future__ import annotations

import platform
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from harness.capture.btf import Btf, load_btf
from harness.capture.excerpt import excerpt
from harness.capture.kernel import KPROBE_PMU, preempts_tracepoints, running_symbols
from harness.capture.probes import Probe
from harness.capture.program import DIRECT_IO_TYPES, structures_read
from harness.errors import UserError
from reference.direct_io.mainline import FEATURES

__all__ = ["DirectIoKernel", "missing_probes", "running_direct_io_kernel", "why_no_calls"]

BIO, DIRECT = "block_bio_queue", "iomap_dio_rw_begin"
PAGE, MAP_REMOVED = "mm_filemap_add_to_page_cache", "btrfs_extent_map_shrinker_remove_em"
PROGRAMS = {BIO: "on_bio", DIRECT: "on_direct", PAGE: "on_page", MAP_REMOVED: "on_map_removed"}
"""Tracepoint -> program at it; PROGRAM_call is put where a tracepoint's programs are called."""
DONE, PAGE_REMOVED = "iomap_dio_complete", "mm_filemap_delete_from_page_cache"
"""Tracepoints that are needed besides where calls are recorded by whomever; `DONE` is there from 6.6 on."""
CALL_FUNCTION = "btrfs_file_read_iter"
DIRECT_FUNCTION = "iomap_dio_rw"
"""Where the tracepoint `DIRECT` is not (up to 6.5): a kprobe at the entry of this function says the same."""
FLAGS = ("__REQ_SYNC", "__REQ_META", "__REQ_RAHEAD")
HEAD = "PG_head"


@dataclass(frozen=True)
class DirectIoKernel:
    """The running kernel, as far as who records direct reads must know it."""

    probes: Sequence[Probe]
    """What to attach, in this order."""
    call_probes: Sequence[Probe]
    """What to attach before these where calls are recorded by whomever; none if they cannot be."""
    flags: Mapping[str, int]
    """Bits of `bi_opf`, by name."""
    sees_all_calls: bool
    """Whether calls are recorded that are not of whole blocks, too."""
    features: Sequence[str]
    """Those of `FEATURES` that the kernel has."""
    large: int
    """The bit of a folio's flags by which folios of more pages than one are told."""
    structures: bytes
    """BTF of the structures that the programs read."""

    @classmethod
    def of(cls, symbols: Collection[str], btf: Btf) -> DirectIoKernel:
        """Ask symbols and BTF; UserError where the kernel lacks what is needed."""
        if missing := missing_probes(symbols):
            raise UserError(missing[0])
        bits = btf.enumerators((*FLAGS, HEAD))
        return cls(
            tuple(probe for one in PROGRAMS.items() for probe in _of_event(*one, symbols, btf)),
            _of_calls(symbols, btf),
            {name: 1 << bits[name] for name in FLAGS},
            _has_kprobes(),
            [feature for feature in FEATURES if feature.removeprefix("symbol:") in symbols],
            1 << bits[HEAD],
            excerpt(btf, structures_read(DIRECT_IO_TYPES)),
        )


@cache
def running_direct_io_kernel() -> DirectIoKernel:
    """Describe the running kernel, once. Raises UserError where direct reads cannot be recorded."""
    return DirectIoKernel.of(running_symbols(), load_btf())


def missing_probes(symbols: Collection[str]) -> list[str]:
    """Return every reason why a kernel with these symbols cannot be recorded."""
    reasons = [
        f"this kernel has no tracepoint {event}: use one with CONFIG_TRACEPOINTS, 5.10 or newer"
        for event in (BIO, PAGE)
        if not _has(event, symbols)
    ]
    if not _has(DIRECT, symbols) and not (DIRECT_FUNCTION in symbols and _registers_are_known()):
        reasons.append(f"this kernel has no tracepoint {DIRECT}: use 6.6 or newer, or x86-64")
    return reasons


def why_no_calls(symbols: Collection[str]) -> list[str]:
    """Return every reason why calls by whomever cannot be recorded in a kernel with these symbols."""
    reasons = missing_probes(symbols)
    if not _has_kprobes() and not _has(DIRECT, symbols):
        reasons.append(f"nothing can be put at this kernel's {CALL_FUNCTION}: use one with CONFIG_KPROBES")
    if not _has(PAGE_REMOVED, symbols):
        reasons.append(f"this kernel has no tracepoint {PAGE_REMOVED}: use one with CONFIG_TRACEPOINTS")
    return reasons


def _of_calls(symbols: Collection[str], btf: Btf) -> tuple[Probe, ...]:
    if why_no_calls(symbols):
        return ()
    begin = Probe("on_whole_call", "raw_tracepoint", DIRECT)
    if _has_kprobes():
        begin = Probe("on_call", "kprobe", CALL_FUNCTION)
    # An interrupt may end a bio while the CPU is recording the end of another: it is left out. So it is not
    # known what that call came to, but no event that a verdict rests on is lost.
    ended = [replace(probe, records=False) for probe in _of_event(DONE, "on_done", symbols, btf)]
    return (begin, *ended, *_of_event(PAGE_REMOVED, "on_page_removed", symbols, btf))


def _has_kprobes() -> bool:
    return KPROBE_PMU.exists() and _registers_are_known()


def _of_event(event: str, program: str, symbols: Collection[str], btf: Btf) -> list[Probe]:
    if not _has(event, symbols):
        # Without the tracepoint of the shrinker (up to 6.10) there is no shrinker.
        return [Probe("on_direct_entry", "kprobe", DIRECT_FUNCTION)] if event == DIRECT else []
    if preempts_tracepoints(btf):
        call = Probe(f"{program}_call", "kprobe", f"__traceiter_{event}")
        return [call, *[Probe("nothing", "raw_tracepoint", event, records=False)] * 2]
    if event == BIO and (btf.parameters(f"__traceiter_{event}") or ())[1:2] == ("q",):
        program = "on_bio_of_queue"
    return [Probe(program, "raw_tracepoint", event)]


def _has(event: str, symbols: Collection[str]) -> bool:
    return f"__traceiter_{event}" in symbols


def _registers_are_known() -> bool:
    return platform.machine() == "x86_64"
