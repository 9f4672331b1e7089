# SPDX-License-Identifier: GPL-2.0-or-later
"""The smallest possible use of bpf(2), by the system call itself: load `return 0`, attach it, let go.

Programs live as long as their descriptors, so nothing can be left behind.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path

from harness.doctor.probes import MissingError

__all__ = [
    "KPROBE_PMU",
    "AttachType",
    "ProgramType",
    "attach_kprobe",
    "attach_raw_tracepoint",
    "attach_tracing",
    "loaded",
]

# include/uapi/linux/bpf.h: enum bpf_cmd
BPF_PROG_LOAD = 5
BPF_RAW_TRACEPOINT_OPEN = 17

# r0 = 0; exit (struct bpf_insn: code, registers, offset, immediate)
RETURN_0 = struct.pack("=BBhi", 0xB7, 0, 0, 0) + struct.pack("=BBhi", 0x95, 0, 0, 0)

# union bpf_attr for BPF_PROG_LOAD: prog_type, insn_cnt, insns, license, log_level, log_size, log_buf,
# kern_version, prog_flags, prog_name, prog_ifindex, expected_attach_type, then (zero) func and line info,
# attach_btf_id, attach_prog_fd
PROG_LOAD = struct.Struct("=IIQQIIQII16sII40xII")
# ... for BPF_RAW_TRACEPOINT_OPEN: name, prog_fd
RAW_TRACEPOINT_OPEN = struct.Struct("=QI4x")

SYSTEM_CALLS = {"x86_64": (321, 298), "aarch64": (280, 241)}
"""Numbers of bpf(2) and perf_event_open(2) by machine."""

# include/uapi/linux/perf_event.h, struct perf_event_attr up to PERF_ATTR_SIZE_VER1: type, size, config,
# sample_period, sample_type, read_format, flags, wakeup_events, bp_type, kprobe_func, probe_offset
PERF_EVENT_ATTR = struct.Struct("=IIQQQQQIIQQ")
PERF_EVENT_IOC_SET_BPF = 0x40042408
KPROBE_PMU = Path("/sys/bus/event_source/devices/kprobe/type")


class ProgramType(IntEnum):
    """enum bpf_prog_type, what is tried of it."""

    KPROBE = 2
    RAW_TRACEPOINT = 17
    TRACING = 26


class AttachType(IntEnum):
    """enum bpf_attach_type, what is tried of it."""

    NONE = 0
    TRACE_FENTRY = 24


@contextmanager
def loaded(kind: ProgramType, attach: AttachType = AttachType.NONE, btf_id: int = 0) -> Iterator[int]:
    """Load the program as `kind` and yield its descriptor; OSError when the kernel refuses."""
    instructions, license_ = ctypes.create_string_buffer(RETURN_0), ctypes.create_string_buffer(b"GPL")
    attributes = PROG_LOAD.pack(
        kind,
        len(RETURN_0) // 8,
        ctypes.addressof(instructions),
        ctypes.addressof(license_),
        0,
        0,
        0,
        0,
        0,
        b"iodiff_probe",
        0,
        attach,
        btf_id,
        0,
    )
    descriptor = _bpf(BPF_PROG_LOAD, attributes)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def attach_raw_tracepoint(name: str) -> None:
    """Attach to tracepoint `name` and detach; OSError when the kernel refuses."""
    text = ctypes.create_string_buffer(name.encode())
    with loaded(ProgramType.RAW_TRACEPOINT) as program:
        os.close(_bpf(BPF_RAW_TRACEPOINT_OPEN, RAW_TRACEPOINT_OPEN.pack(ctypes.addressof(text), program)))


def attach_tracing(attach: AttachType, btf_id: int) -> None:
    """Attach to the entry of the function with type number `btf_id` in BTF, and detach."""
    with loaded(ProgramType.TRACING, attach, btf_id) as program:
        os.close(_bpf(BPF_RAW_TRACEPOINT_OPEN, RAW_TRACEPOINT_OPEN.pack(0, program)))


def attach_kprobe(function: str) -> None:
    """Put a kprobe on `function`, attach to it, and take both away (`perf_kprobe`, kernel/events/core.c)."""
    pmu = int(KPROBE_PMU.read_text())
    text = ctypes.create_string_buffer(function.encode())
    attributes = ctypes.create_string_buffer(
        PERF_EVENT_ATTR.pack(pmu, PERF_EVENT_ATTR.size, 0, 0, 0, 0, 0, 0, 0, ctypes.addressof(text), 0)
    )
    event = _system_call(1, ctypes.addressof(attributes), -1, 0, -1, 0)
    try:
        with loaded(ProgramType.KPROBE) as program:
            fcntl.ioctl(event, PERF_EVENT_IOC_SET_BPF, program)
    finally:
        os.close(event)


def _bpf(command: int, attributes: bytes) -> int:
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    return _system_call(0, command, ctypes.addressof(buffer), len(attributes))


def _system_call(which: int, *arguments: int) -> int:
    machine = platform.machine()
    if machine not in SYSTEM_CALLS:
        raise MissingError(f"the system call's number on {machine} is not known here")
    libc = ctypes.CDLL(None, use_errno=True)
    words = [ctypes.c_long(argument) for argument in arguments]
    result: int = libc.syscall(ctypes.c_long(SYSTEM_CALLS[machine][which]), *words)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
