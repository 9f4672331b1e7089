# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel lets BPF do: types to read, programs to attach."""

from __future__ import annotations

import ctypes
from pathlib import Path

from harness.capture.kernel import TRACEPOINTS, layout_of, running_symbols
from harness.doctor.bpf_probe import (
    KPROBE_PMU,
    AttachType,
    attach_kprobe,
    attach_raw_tracepoint,
    attach_tracing,
)
from harness.doctor.probes import MissingError

__all__ = ["btf", "fentry", "kprobe", "raw_tracepoints"]

BTF_FOLDER = Path("/sys/kernel/btf")
BTF_MAGIC = (0xEB9F).to_bytes(2, "little")
QUIET_FUNCTION = "vfs_fallocate"
"""A function that every kernel exports and that is seldom called."""


def btf() -> str:
    """Look for the extent-io-tree's types in BTF, of the kernel or of its btrfs module."""
    sizes = []
    for name in ("vmlinux", "btrfs"):
        file = BTF_FOLDER / name
        if not file.exists():
            continue
        data = file.read_bytes()
        if not data.startswith(BTF_MAGIC):
            raise MissingError(f"{file} is not BTF of this machine's byte order")
        if b"\0extent_io_tree\0" in data:
            return f"{name}, {len(data) // 1024} KiB, with btrfs's types"
        sizes.append(name)
    if not sizes:
        raise MissingError("the kernel has no BTF", "boot a kernel with CONFIG_DEBUG_INFO_BTF")
    layout = layout_of(running_symbols())
    if layout is not None:
        return f"without btrfs's types: {layout.name} of our own is used in their place"
    raise MissingError(
        f"BTF ({', '.join(sizes)}) lacks btrfs's types",
        "modprobe btrfs, or boot a kernel with CONFIG_DEBUG_INFO_BTF_MODULES",
    )


def raw_tracepoints() -> str:
    """Attach to each of the extent-io-tree's tracepoints in turn."""
    for names in TRACEPOINTS.values():
        if not any(map(_attaches, names)):
            raise MissingError(f"no tracepoint {names[0]}", "modprobe btrfs, or boot another kernel")
    return f"{len(TRACEPOINTS)} of {len(TRACEPOINTS)} attached"


def fentry() -> str:
    """Attach to the entry of a kernel function."""
    try:
        libbpf = ctypes.CDLL("libbpf.so.1")
    except OSError:
        raise MissingError("not tried, libbpf is missing", "install libbpf 1.0 or newer") from None
    number = libbpf.libbpf_find_vmlinux_btf_id(QUIET_FUNCTION.encode(), int(AttachType.TRACE_FENTRY))
    if number < 0:
        raise MissingError(f"BTF has no function {QUIET_FUNCTION}")
    attach_tracing(AttachType.TRACE_FENTRY, number)
    return "attached"


def kprobe() -> str:
    """Put a kprobe on a kernel function and attach to it."""
    if not KPROBE_PMU.exists():
        raise MissingError("the kernel has no kprobes")
    attach_kprobe(QUIET_FUNCTION)
    return "attached"


def _attaches(tracepoint: str) -> bool:
    try:
        attach_raw_tracepoint(tracepoint)
    except FileNotFoundError:
        return False
    return True
