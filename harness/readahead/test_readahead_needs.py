# SPDX-License-Identifier: GPL-2.0-or-later
"""Where readaheads can be recorded, and what is said where they cannot."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.kernels import HOST, Kernel
from harness.kernels.headers import Headers, _check, headers_for
from harness.kernels.packages import Package
from harness.readahead import module, needs

RELEASE = "5.10.0-1-amd64"


def _kernel(root: Path, symbol: bytes, name: str = "btrfs.ko") -> Kernel:
    folder = root / "lib/modules" / RELEASE / "kernel/fs/btrfs"
    folder.mkdir(parents=True)
    data = b"\x7fELF" + symbol
    (folder / name).write_bytes(lzma.compress(data) if name.endswith(".xz") else data)
    return Kernel("debian:5.10", "debian-5.10", RELEASE, root / "vmlinuz", root, None)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("name", ["btrfs.ko", "btrfs.ko.xz"])
def test_a_kernel_without_the_engine_says_so(tmp_path: Path, name: str) -> None:
    (reason,) = needs.why_no_readahead(_kernel(tmp_path, b"btrfs_scrub_dev", name))
    assert reason.startswith(f"{RELEASE} has no fs/btrfs/reada.c")


def test_no_module_is_loaded_on_the_host() -> None:
    (reason,) = needs.why_no_readahead(Kernel(HOST, HOST, "6.18.0", None, None, None))
    assert "reada.c" in reason or "guests only" in reason


def test_a_module_that_was_built_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "headers_for", lambda *_: pytest.fail("asked for headers"))
    built = module.module_file(RELEASE)
    built.parent.mkdir(parents=True)
    built.touch()
    assert needs.why_no_readahead(_kernel(tmp_path, b"btrfs_reada_add", "btrfs.ko.xz")) == []


def test_what_hinders_the_build_is_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def headers(_release: str, _progress: object) -> Headers:
        raise UserError("gcc is missing: install it (Debian package gcc)")

    monkeypatch.setattr(needs, "headers_for", headers)
    (reason,) = needs.why_no_readahead(_kernel(tmp_path, b"btrfs_reada_add"))
    assert reason == "the readahead module cannot be built: gcc is missing: install it (Debian package gcc)"


def test_headers_are_known_for_kernels_of_debian_only() -> None:
    with pytest.raises(UserError, match=r"no headers are known for 5\.10\.0-rc1"):
        headers_for("5.10.0-rc1", lambda _line: None)


@pytest.mark.parametrize(
    ("versions", "message"),
    [
        ({"headers": "1"}, "the archive has no source"),
        ({"headers": "1", "source": "2"}, "the archive has btrfs's source of 2"),
    ],
)
def test_headers_and_source_are_of_one_version(versions: dict[str, str], message: str) -> None:
    packages = [Package(name, version, "", 0, 0) for name, version in versions.items()]
    with pytest.raises(UserError, match=message):
        _check(RELEASE, ["headers", "source"], packages)


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text("modules:\n\t@echo 'x.c:1: error: no such thing' >&2; false\n")
    with pytest.raises(UserError, match="error: no such thing"):
        module.build(RELEASE, Headers(tmp_path, tmp_path))
    assert not list(module.module_file(RELEASE).parent.parent.iterdir())
