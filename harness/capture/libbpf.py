# SPDX-License-Identifier: GPL-2.0-or-later
"""The few calls of libbpf (1.x) that the capture needs, through ctypes."""

from __future__ import annotations

import ctypes
import os
import struct
from collections import deque
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from harness.errors import InfrastructureError, UserError

__all__ = ["BpfObject", "Way"]

Way = Literal["raw_tracepoint", "tracepoint", "kprobe", "kretprobe"]
"""How a program is attached."""

_ATTACH = {"kretprobe": "kprobe"}
"""Which call of libbpf attaches in this way, where it is not of that name."""
_SONAME = "libbpf.so.1"
_DEBUG = 2  # enum libbpf_print_level: WARN 0, INFO 1, DEBUG 2
_PRINT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


class _TestRunOptions(ctypes.Structure):
    """struct bpf_test_run_opts."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("data_in", ctypes.c_void_p),
        ("data_out", ctypes.c_void_p),
        ("data_size_in", ctypes.c_uint32),
        ("data_size_out", ctypes.c_uint32),
        ("ctx_in", ctypes.c_void_p),
        ("ctx_out", ctypes.c_void_p),
        ("ctx_size_in", ctypes.c_uint32),
        ("ctx_size_out", ctypes.c_uint32),
        ("retval", ctypes.c_uint32),
        ("repeat", ctypes.c_int),
        ("duration", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("cpu", ctypes.c_uint32),
        ("batch_size", ctypes.c_uint32),
    )


class _OpenOptions(ctypes.Structure):
    """struct bpf_object_open_opts, up to the member used."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("object_name", ctypes.c_char_p),
        ("relaxed_maps", ctypes.c_bool),
        ("pin_root_path", ctypes.c_char_p),
        ("reserved", ctypes.c_uint64),
        ("kconfig", ctypes.c_char_p),
        ("btf_custom_path", ctypes.c_char_p),
    )


# struct bpf_link_info, as far as `missed` of a kprobe's link: type, id, prog_id, perf_event.type, func_name,
# name_len, offset, addr, missed
_LINK_INFO = struct.Struct("<III4xI4xQIIQQ")
_KPROBE_LINKS = ((7, 3), (7, 4))  # BPF_LINK_TYPE_PERF_EVENT, BPF_PERF_EVENT_KPROBE and _KRETPROBE


# libbpf has one place for a print function in the whole process and may call it at any time, for others
# too: so it must live as long as the process.
_messages: deque[str] = deque(maxlen=50)


def _keep_message(level: int, template: bytes, arguments: int) -> int:
    if level < _DEBUG:
        # libbpf formats through a va_list, which ctypes cannot; vsnprintf can.
        text = ctypes.create_string_buffer(4096)
        ctypes.CDLL(None).vsnprintf(text, len(text), template, ctypes.c_void_p(arguments))
        _messages.append(text.value.decode(errors="replace").strip())
    return 0


_print = _PRINT(_keep_message)


@cache
def _load_library() -> Any:
    try:
        library = ctypes.CDLL(_SONAME, use_errno=True)
    except OSError:
        raise UserError(f"{_SONAME} is missing: install libbpf 1.x (Debian package libbpf1)") from None
    for name in ("open_file", "find_program_by_name", "find_map_by_name"):
        getattr(library, f"bpf_object__{name}").restype = ctypes.c_void_p
    for name in ("raw_tracepoint", "tracepoint", "kprobe"):
        getattr(library, f"bpf_program__attach_{name}").restype = ctypes.c_void_p
    library.libbpf_set_print(_print)
    return library


class BpfObject:
    """A loaded BPF object file. Programs and maps live as long as it does: nothing is pinned.

    Raises InfrastructureError with libbpf's last words when the kernel refuses it.
    """

    def __init__(
        self,
        path: Path,
        structures: Path,
        *,
        ring: tuple[str, int] | None = None,
        optional: Sequence[str] = (),
    ) -> None:
        """Open and load `path`.

        `structures` is a file with BTF of the kernel's structures that the programs read; `ring` is the name
        of a ring buffer map and its size in bytes; `optional` are programs to load that are left out
        otherwise (`SEC("?...")`).
        """
        self._library = _load_library()
        _messages.clear()
        self._links: list[int] = []
        self.missed_kprobes = 0
        """How often kprobes, detached by now, were left out while their CPU handled another (from 6.7)."""
        options = _OpenOptions(sz=ctypes.sizeof(_OpenOptions))
        options.btf_custom_path = os.fsencode(structures)
        self._object = self._library.bpf_object__open_file(os.fsencode(path), ctypes.byref(options))
        if not self._object:
            raise self._error(f"libbpf cannot open {path}")
        if ring is not None:
            handle = self._library.bpf_object__find_map_by_name(self._pointer(), ring[0].encode())
            self._library.bpf_map__set_max_entries(ctypes.c_void_p(handle), ring[1])
        for name in optional:
            self._library.bpf_program__set_autoload(self._program(name), ctypes.c_bool(True))
        if self._library.bpf_object__load(self._pointer()):
            error = self._error("the kernel refused the BPF programs")
            self.close()
            raise error

    def __enter__(self) -> BpfObject:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def attach(self, program: str, way: Way, place: str) -> None:
        """Run `program` at a tracepoint, a trace event of btrfs, the entry or the return of a function."""
        attach = getattr(self._library, f"bpf_program__attach_{_ATTACH.get(way, way)}")
        where: dict[Way, tuple[Any, ...]] = {
            "raw_tracepoint": (place.encode(),),
            "tracepoint": (b"btrfs", place.encode()),
            "kprobe": (ctypes.c_bool(False), place.encode()),
            "kretprobe": (ctypes.c_bool(True), place.encode()),
        }
        link = attach(self._program(program), *where[way])
        if not link:
            raise self._error(f"cannot attach BPF program {program} to {place}")
        self._links.append(link)

    def detach(self) -> None:
        """Detach all programs, the last attached first."""
        while self._links:
            link = ctypes.c_void_p(self._links.pop())
            self.missed_kprobes += self._missed_kprobes(link)
            self._library.bpf_link__destroy(link)

    def map_fd(self, name: str) -> int:
        """File descriptor of a map."""
        fd: int = self._library.bpf_object__find_map_fd_by_name(self._pointer(), name.encode())
        if fd < 0:
            raise self._error(f"no BPF map {name}")
        return fd

    def update(self, name: str, key: bytes, value: bytes) -> None:
        """bpf_map_update_elem()."""
        if self._library.bpf_map_update_elem(self.map_fd(name), key, value, ctypes.c_uint64(0)):
            raise self._error(f"cannot write BPF map {name}")

    def lookup(self, name: str, key: bytes, size: int) -> bytes:
        """bpf_map_lookup_elem(): `size` bytes (for per-CPU maps: of all possible CPUs)."""
        value = ctypes.create_string_buffer(size)
        if self._library.bpf_map_lookup_elem(self.map_fd(name), key, value):
            raise self._error(f"cannot read BPF map {name}")
        return value.raw

    def run(self, program: str) -> None:
        """Run a program once through BPF_PROG_TEST_RUN."""
        options = _TestRunOptions(sz=ctypes.sizeof(_TestRunOptions))
        fd = self._library.bpf_program__fd(self._program(program))
        if self._library.bpf_prog_test_run_opts(fd, ctypes.byref(options)) or options.retval:
            raise self._error(f"BPF program {program} cannot be run")

    def missed(self, program: str) -> int:
        """How often the kernel left out the program because it was already running on that CPU."""
        fd = self._library.bpf_program__fd(self._program(program))
        facts = dict(line.split(":", 1) for line in Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines())
        return int(facts.get("recursion_misses", 0))

    def close(self) -> None:
        """Detach and unload everything; the kernel forgets the programs and maps."""
        self.detach()
        if self._object:
            self._library.bpf_object__close(self._pointer())
            self._object = None

    def _missed_kprobes(self, link: ctypes.c_void_p) -> int:
        info = ctypes.create_string_buffer(_LINK_INFO.size)
        size = ctypes.c_uint32(_LINK_INFO.size)
        fd = self._library.bpf_link__fd(link)
        if self._library.bpf_obj_get_info_by_fd(fd, info, ctypes.byref(size)):
            return 0  # a link of another kind, or of a kernel that does not count
        link_type, _, _, event_type, *_, missed = _LINK_INFO.unpack(info.raw)
        return int(missed) if (link_type, event_type) in _KPROBE_LINKS else 0

    def _pointer(self) -> ctypes.c_void_p:
        return ctypes.c_void_p(self._object)

    def _program(self, name: str) -> ctypes.c_void_p:
        handle = self._library.bpf_object__find_program_by_name(self._pointer(), name.encode())
        if not handle:
            raise self._error(f"no BPF program {name}")
        return ctypes.c_void_p(handle)

    def _error(self, what: str) -> InfrastructureError:
        reason = os.strerror(ctypes.get_errno()) if ctypes.get_errno() else "no reason given"
        said = f"; libbpf: {_messages[-1].splitlines()[0]}" if _messages else ""
        return InfrastructureError(f"{what}: {reason}{said}")
