# SPDX-License-Identifier: GPL-2.0-or-later
"""What the running kernel calls the things that a capture needs, and where it says so.

Nothing is chosen by a kernel's version: every question is put to its symbols, its BTF or its event formats.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.capture.btf import Btf, load_btf
from harness.capture.excerpt import excerpt
from harness.capture.formats import find_events, read_format
from harness.capture.program import structures_read
from harness.capture.records import Kind
from harness.errors import UserError

__all__ = [
    "CLEAR_FUNCTION",
    "TRACEPOINTS",
    "BtrfsKernel",
    "Layout",
    "layout_of",
    "preempts_tracepoints",
    "running_kernel",
    "running_symbols",
]

KALLSYMS = Path("/proc/kallsyms")

TRACEPOINTS = {
    Kind.SET: ("btrfs_set_extent_bit",),
    Kind.CLEAR: ("btrfs_clear_extent_bit",),
    Kind.CONVERT: ("btrfs_convert_extent_bit",),
    Kind.ALLOC: ("btrfs_alloc_extent_state", "alloc_extent_state"),
    Kind.FREE: ("btrfs_free_extent_state", "free_extent_state"),
}
"""The tracepoints of the extent-io-tree by every name they have had, the newest first."""

CLEAR_FUNCTION = "__clear_extent_bit"
"""Where CLEAR happens up to 6.0, its sixth parameter `delete`: clear whatever is set."""
DELETE_POSITION = 5

PREEMPTED_TRACEPOINTS = "class_srcu_fast_notrace_t"
"""A tracepoint is guarded by this in place of disabled preemption (include/linux/tracepoint.h, 7.2)."""
KPROBE_PMU = Path("/sys/bus/event_source/devices/kprobe")

OF_OTHERS = ("EXTENT_BUFFER_", "EXTENT_FLAG_")
"""What begins as the bits of an extent_state do: flags of extent_buffer (extent_io.h) and extent_map."""
# What fs/btrfs/extent-io-tree.h defines but no event prints, in kernels whose bits are no enumerators.
ADD_INODE_BYTES = 1 << 15
"""5.11 to 6.1, in the kernels that have btrfs_update_inode_bytes()."""
CLEAR_ALL_BITS = 1 << 16
"""6.1. Before it, `delete` is recorded as this bit, which no kernel used for anything else then."""

# Trace events leave FS_ out of two names of owners (IO_TREE_OWNER in include/trace/events/btrfs.h).
_OWNER_NAMES = {"PINNED_EXTENTS": "FS_PINNED_EXTENTS", "EXCLUDED_EXTENTS": "FS_EXCLUDED_EXTENTS"}


@dataclass(frozen=True)
class Layout:
    """A file of `layouts`, and the kernels it is of."""

    name: str
    present: frozenset[str]
    """Symbols that these kernels have."""
    absent: frozenset[str]
    """Symbols that they do not have."""
    hides_delete: bool
    """CLEAR_FUNCTION has the parameter `delete`."""


# 5.10: still with reada.c (removed in 5.17), not yet with btrfs_update_inode_bytes() (new in 5.11).
_LAYOUTS = (
    Layout(
        name="btrfs_5_10",
        present=frozenset({CLEAR_FUNCTION, "btrfs_reada_add"}),
        absent=frozenset({"btrfs_update_inode_bytes"}),
        hides_delete=True,
    ),
)


@dataclass(frozen=True)
class BtrfsKernel:
    """The running kernel's btrfs, as far as a capture must know it."""

    tracepoints: dict[Kind, str]
    bits: dict[str, int]
    """EXTENT_* by name."""
    owners: dict[str, int]
    """IO_TREE_* by name."""
    hides_delete: bool
    """The clear tracepoint does not tell when all bits are cleared, whatever they are."""
    preempts: bool
    """Tracepoints can be preempted, and a kprobe can be put where they are called."""
    layout: str | None
    """Which of `layouts` describes the structures, where BTF does not."""
    structures: bytes
    """BTF of the structures that the programs read; of none where there is a layout."""

    @classmethod
    def of(cls, symbols: frozenset[str], btf: Btf, events: Path | None = None) -> BtrfsKernel:
        """Ask the symbols, the BTF and, where these do not know, the formats of the trace `events`.

        `events` is found when None. Raises UserError where the kernel has no btrfs, or one that is not known.
        """
        tracepoints = {kind: _tracepoint(names, symbols) for kind, names in TRACEPOINTS.items()}
        layout = None if btf.members("extent_io_tree") else _layout(symbols)
        bits, owners = _bits(btf), btf.enumerators(("IO_TREE_",))
        if "EXTENT_LOCKED" not in bits or "IO_TREE_INODE_IO" not in owners:
            printed = read_format(events or find_events(), tracepoints[Kind.SET]).values
            owners = owners or _printed_owners(printed["owner"])
            bits = _printed_bits(printed["set_bits"], symbols)
        parameters = btf.parameters(CLEAR_FUNCTION) or ()
        hides = layout.hides_delete if layout else parameters[DELETE_POSITION:][:1] == ("delete",)
        structures = excerpt(btf, () if layout else structures_read())
        named = layout.name if layout else None
        return cls(tracepoints, bits, owners, hides, preempts_tracepoints(btf), named, structures)


def layout_of(symbols: frozenset[str]) -> Layout | None:
    """Return which of `layouts` describes a kernel with these symbols, when one does."""
    known = (x for x in _LAYOUTS if x.present <= symbols and not x.absent & symbols)
    return next(known, None)


def preempts_tracepoints(btf: Btf) -> bool:
    """Whether tracepoints can be preempted, and a kprobe can be put where they are called."""
    return btf.knows(PREEMPTED_TRACEPOINTS) and KPROBE_PMU.exists() and platform.machine() == "x86_64"


@cache
def running_kernel() -> BtrfsKernel:
    """Describe the running kernel, once. Raises UserError where it cannot be captured."""
    return BtrfsKernel.of(running_symbols(), load_btf())


@cache
def running_symbols() -> frozenset[str]:
    """Names of all symbols of the running kernel; of a function also the one it has in the source."""
    names = set(re.findall(r"^\w+ \S (\S+)", KALLSYMS.read_text(), re.MULTILINE))
    # Compilers add suffixes to functions that they change: foo.isra.0, foo.constprop.0.
    names.update([name.split(".", 1)[0] for name in names if "." in name])
    return frozenset(names)


def _tracepoint(names: tuple[str, ...], symbols: frozenset[str]) -> str:
    # A tracepoint calls its probes through this function (include/linux/tracepoint.h, since 5.10).
    found = next((name for name in names if f"__traceiter_{name}" in symbols), None)
    if found is None:
        raise UserError(
            f"this kernel has no tracepoint btrfs:{names[0]}: modprobe btrfs, or use a kernel with btrfs"
        )
    return found


def _bits(btf: Btf) -> dict[str, int]:
    named = btf.enumerators(("EXTENT_",))
    return {name: value for name, value in named.items() if not name.startswith(OF_OTHERS)}


def _layout(symbols: frozenset[str]) -> Layout:
    layout = layout_of(symbols)
    if layout is None:
        raise UserError("the kernel's BTF does not describe btrfs: use a kernel with BTF of its modules")
    return layout


def _printed_bits(printed: Mapping[str, int], symbols: frozenset[str]) -> dict[str, int]:
    bits = {f"EXTENT_{name}": value for name, value in printed.items()}
    if "EXTENT_LOCKED" not in bits:
        raise UserError("neither the kernel's BTF nor its trace events name the bits of an extent state")
    if "btrfs_update_inode_bytes" in symbols:
        bits["EXTENT_ADD_INODE_BYTES"] = ADD_INODE_BYTES
    bits["EXTENT_CLEAR_ALL_BITS"] = CLEAR_ALL_BITS
    return bits


def _printed_owners(printed: Mapping[str, int]) -> dict[str, int]:
    owners = {f"IO_TREE_{_OWNER_NAMES.get(name, name)}": value for name, value in printed.items()}
    if not {"IO_TREE_INODE_IO", "IO_TREE_SELFTEST"} <= owners.keys():
        raise UserError("neither the kernel's BTF nor its trace events name the owners of io trees")
    # It stands last in extent-io-tree.h, from 5.1 on, and events do not print it.
    owners["IO_TREE_DEVICE_ALLOC_STATE"] = owners["IO_TREE_SELFTEST"] + 1
    return owners
