# SPDX-License-Identifier: GPL-2.0-or-later
"""What the machine is asked about KVM, and what of the answer is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.doctor import guest
from harness.doctor.probes import MissingError
from harness.guest.accelerator import accelerator

IMAGE = Path("vmlinuz")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Path | None]:
    """Let KVM work for boot sectors alone; return what it was asked to boot."""
    images: list[Path | None] = []

    def kvm(image: Path | None = None) -> str:
        images.append(image)
        if image is not None:
            raise MissingError("the guest ended without its word")
        return "ok"

    monkeypatch.setattr(guest, "kvm", kvm)
    return images


def test_an_answer_is_kept(asked: list[Path | None]) -> None:
    assert [accelerator(IMAGE), accelerator(IMAGE), accelerator()] == ["tcg"] * 3
    assert asked == [IMAGE]


def test_that_a_boot_sector_runs_is_no_answer_to_keep(asked: list[Path | None]) -> None:
    assert [accelerator(), accelerator(IMAGE)] == ["kvm", "tcg"]
    assert asked == [None, IMAGE]
