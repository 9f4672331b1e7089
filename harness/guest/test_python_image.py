# SPDX-License-Identifier: GPL-2.0-or-later
"""The image of Python for guests: what is in it, and when it is made anew."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.guest import python_image as module
from harness.guest.python_image import PythonImage, python_image

pytestmark = pytest.mark.skipif(
    not shutil.which("mke2fs", path=os.defpath + ":/usr/sbin:/sbin"), reason="mke2fs is not installed"
)


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Give small folders in place of Python's own, and a cache."""
    library, packages = tmp_path / "lib", tmp_path / "venv"
    for file in ("lib/os.py", "lib/test/big.py", "lib/json/test/small.py", "venv/site-packages/numpy.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(file)
    (packages / "python").symlink_to("/usr/bin/python3")
    monkeypatch.setattr(module, "_folders", lambda: (library, packages))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return library, packages


def made() -> PythonImage:
    image = python_image()
    assert image is not None
    return image


def listed(image: PythonImage, folder: str) -> set[str]:
    command = ["debugfs", "-R", f"ls -p {folder}", str(image.file)]
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    found = subprocess.run(command, capture_output=True, text=True, check=True, env={"PATH": path}).stdout
    return {line.split("/")[5] for line in found.splitlines() if line} - {".", ".."}


def test_it_has_both_folders_but_for_what_no_guest_needs(folders: tuple[Path, Path]) -> None:
    image = made()
    assert image.folders == folders
    assert {"0", "1"} <= listed(image, "/")
    assert listed(image, "/0") == {"os.py", "json"}
    assert listed(image, "/0/json/test") == {"small.py"}
    assert listed(image, "/1") == {"site-packages", "python"}


def test_it_is_made_once_for_each_state_of_the_packages(folders: tuple[Path, Path]) -> None:
    first = made().file
    status = first.stat()
    assert made().file == first
    assert first.stat().st_ino == status.st_ino
    (folders[1] / "site-packages" / "numpy.py").write_text("newer")
    assert made().file != first


def test_what_nobody_uses_goes() -> None:
    first = made().file
    other = first.with_name("other.img")
    other.touch()
    os.utime(other, (0, 0))
    made()
    assert sorted(first.parent.iterdir()) == [first]


def test_without_the_tool_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_args, **_options: None)
    assert python_image() is None


def test_half_an_image_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FEATURES", "no_such_feature")
    assert python_image() is None
    assert list((tmp_path / "cache" / "iodiff" / "python").iterdir()) == []
