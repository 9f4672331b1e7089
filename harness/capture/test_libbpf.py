# SPDX-License-Identifier: GPL-2.0-or-later
"""The binding to libbpf, as far as it can be tried without root."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path

import pytest

from harness.capture import libbpf
from harness.errors import InfrastructureError


def _missing() -> bool:
    try:
        ctypes.CDLL("libbpf.so.1")
    except OSError:
        return True
    return False


pytestmark = pytest.mark.skipif(_missing(), reason="libbpf 1.x is not installed")


def test_a_refused_object_says_why(tmp_path: Path) -> None:
    (tmp_path / "x.o").write_bytes(b"not an object")
    with pytest.raises(InfrastructureError, match=r"libbpf cannot open .*x\.o: .*; libbpf: "):
        libbpf.BpfObject(tmp_path / "x.o", tmp_path / "btf")


def test_libbpf_keeps_a_function_that_lives_on(tmp_path: Path) -> None:
    """libbpf prints for anybody in the process: a function that died with its object crashed the doctor."""
    with pytest.raises(InfrastructureError):
        libbpf.BpfObject(tmp_path / "missing.o", tmp_path / "btf")
    gc.collect()
    strangers: list[int] = []

    def stranger(level: int, *_: object) -> int:
        strangers.append(level)
        return 0

    # Were the old function gone, these would be made in its place.
    made = [libbpf._PRINT(stranger) for _ in range(200)]
    libbpf._messages.clear()
    ctypes.CDLL("libbpf.so.1").bpf_object__open_file(str(tmp_path / "other.o").encode(), None)
    assert (len(made), strangers) == (200, [])
    assert any("other.o" in message for message in libbpf._messages)
