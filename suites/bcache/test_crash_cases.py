# SPDX-License-Identifier: GPL-2.0-or-later
"""On which kernels power can be lost under a cache."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from harness.kernels import HOST, Kernel
from suites.bcache import crash_cases


def kernel(name: str) -> Kernel:
    return Kernel(name, name, "6.0.0", None, None, None)


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    found: set[str] = set()

    def modules(_kernel: Kernel, names: Iterable[str]) -> list[str]:
        return [name for name in names if name in found]

    monkeypatch.setattr(crash_cases, "module_missing", modules)
    return found


def test_a_kernel_that_has_all(missing: set[str]) -> None:
    assert crash_cases.why_not(kernel("debian:6.12")) == []
    missing.add("dm-log-writes")
    [why] = crash_cases.why_not(kernel("debian:6.12"))
    assert why == "debian:6.12 has no dm-log-writes: use a kernel that has them, as debian:6.12"


@pytest.mark.usefixtures("missing")
def test_never_on_the_host() -> None:
    [why] = crash_cases.why_not(kernel(HOST))
    assert "in guests only" in why


def test_without_bcache(missing: set[str]) -> None:
    missing |= {"bcache", "dm-log-writes"}
    [why] = crash_cases.why_not(kernel("debian:6.12"))
    assert "has no bcache, dm-log-writes" in why
