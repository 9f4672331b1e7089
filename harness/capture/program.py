# SPDX-License-Identifier: GPL-2.0-or-later
"""Compiles the BPF program, once per source and compiler, into the user's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

from harness.errors import InfrastructureError, UserError

__all__ = ["compiled_object", "is_cached"]

SOURCE = Path(__file__).with_name("extent_io.bpf.c")
FLAGS = ("-g", "-O2", "-Wall", "-Werror", "-target", "bpf")


def compiled_object() -> Path:
    """Return the compiled program, compiling it first where the cache has none.

    Raises UserError when clang or libbpf's headers are missing, InfrastructureError when it does not compile.
    """
    target = _target()
    if not target.exists():
        _compile(target)
    return target


def is_cached() -> bool:
    """Whether `compiled_object` needs no compiler."""
    return _target().exists()


def _target() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "iodiff" / "bpf"
    digest = hashlib.sha256(SOURCE.read_bytes() + " ".join(FLAGS).encode()).hexdigest()[:16]
    return cache / f"extent_io-{digest}.o"


def _compile(target: Path) -> None:
    clang = shutil.which("clang")
    if clang is None:
        raise UserError("clang is missing: install it (Debian package clang) to record through BPF")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        output = Path(scratch) / target.name
        command = [clang, *FLAGS, *_includes(), "-c", str(SOURCE), "-o", str(output)]
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
