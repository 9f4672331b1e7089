# SPDX-License-Identifier: GPL-2.0-or-later
"""Compiles the BPF program, once per source and compiler, into the user's cache."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

from harness.errors import InfrastructureError, UserError

__all__ = [
    "BCACHE",
    "BCACHE_TYPES",
    "DIRECT_IO",
    "DIRECT_IO_TYPES",
    "LAYOUTS",
    "compile_all",
    "compiled_layout",
    "compiled_object",
    "is_cached",
    "structures_read",
]

SOURCE = Path(__file__).with_name("extent_io.bpf.c")
DIRECT_IO = Path(__file__).with_name("direct_io.bpf.c")
DIRECT_IO_TYPES = Path(__file__).with_name("direct_io_types.bpf.h")
BCACHE = Path(__file__).with_name("bcache.bpf.c")
BCACHE_TYPES = Path(__file__).with_name("bcache_types.bpf.h")
STRUCTURES = Path(__file__).with_name("kernel_types.bpf.h")
LAYOUTS = Path(__file__).with_name("layouts")
"""Where structures are kept in kernels whose btrfs has no BTF."""
# libbpf's name of the machine: the registers of a kprobe are the machine's.
_TARGETS = {"x86_64": "x86", "aarch64": "arm64"}
_TARGET = _TARGETS.get(platform.machine(), platform.machine())
FLAGS = ("-g", "-O2", "-Wall", "-Werror", "-target", "bpf", f"-D__TARGET_ARCH_{_TARGET}")


def compiled_object(source: Path = SOURCE) -> Path:
    """Return the compiled program, compiling it first where the cache has none.

    Raises UserError when clang or libbpf's headers are missing, InfrastructureError when it does not compile.
    """
    return _compiled(source)


def compiled_layout(name: str) -> Path:
    """Return the compiled `layouts/NAME.c`, whose BTF is what counts. Raises as `compiled_object` does."""
    return _compiled(LAYOUTS / f"{name}.c")


def structures_read(header: Path = STRUCTURES) -> frozenset[str]:
    """Return the names of the kernel's structures and types that a header declares."""
    found = re.findall(r"^struct (\w+) \{|^\} KERNEL (\w+);", header.read_text(), re.MULTILINE)
    # What follows three underscores tells variants of one structure apart.
    return frozenset((struct or typedef).split("___")[0] for struct, typedef in found)


def compile_all() -> None:
    """Put into the cache whatever any kernel can need: a guest cannot write there."""
    for source in (SOURCE, DIRECT_IO, BCACHE, *sorted(LAYOUTS.glob("*.c"))):
        _compiled(source)


def is_cached() -> bool:
    """Whether `compiled_object` needs no compiler."""
    return _target(SOURCE).exists()


def _compiled(source: Path) -> Path:
    target = _target(source)
    if not target.exists():
        _compile(source, target)
    return target


def _target(source: Path) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "iodiff" / "bpf"
    # Any header may be in any program: rather compile once too often than run an old one.
    read = [source, *sorted(SOURCE.parent.glob("*.bpf.h"))]
    text = b"".join(file.read_bytes() for file in read) + " ".join(FLAGS).encode()
    digest = hashlib.sha256(text).hexdigest()[:16]
    return cache / f"{source.name.split('.')[0]}-{digest}.o"


def _compile(source: Path, target: Path) -> None:
    clang = shutil.which("clang")
    if clang is None:
        raise UserError("clang is missing: install it (Debian package clang) to record through BPF")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        output = Path(scratch) / target.name
        command = [clang, *FLAGS, *_includes(), "-c", str(source), "-o", str(output)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise _compile_error(done.stderr)
        output.rename(target)


def _includes() -> list[str]:
    # clang does not look into the multiarch folder (asm/types.h) for the bpf target.
    multiarch = sysconfig.get_config_var("MULTIARCH")
    return [f"-I/usr/include/{multiarch}"] if multiarch else []


def _compile_error(stderr: str) -> Exception:
    first = next((line for line in stderr.splitlines() if "error:" in line), "clang failed")
    if "bpf/bpf_helpers.h" in first:
        return UserError("libbpf's headers are missing: install them (Debian package libbpf-dev)")
    return InfrastructureError(f"the BPF program does not compile: {first}")
