# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels that lie on the machine: their releases, their modules, and what is wrong with some."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.kernels import catalogue, fetch, installed, module_missing, remove, resolve
from harness.kernels.bzimage import HEADER_AT, image_release
from harness.kernels.store import cached, folder
from harness.kernels.testing import FAKE_DEPMOD, bzimage, modules, tool, unpacked

RELEASE = "6.12.1+deb12-amd64"
WANTED = ("btrfs", "loop", "bcache", "9pnet_virtio")


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    tool(tmp_path / "bin", "depmod", FAKE_DEPMOD)


def refusal(name: str | Path) -> str:
    with pytest.raises(UserError) as refused:
        resolve(str(name))
    assert "\n" not in str(refused.value)
    return str(refused.value)


def build_tree(root: Path, release: str = RELEASE, order: str = "fs/btrfs/btrfs.o\n") -> Path:
    for name, text in {
        ".config": "#\nCONFIG_MODULES=y\n",
        "include/config/kernel.release": release + "\n",
        "modules.order": order,
        "modules.builtin": "kernel/drivers/block/loop.ko\n",
        "fs/btrfs/btrfs.ko": "",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    image = root / "arch/x86/boot/bzImage"
    image.parent.mkdir(parents=True)
    image.write_bytes(bzimage(RELEASE))
    return image


def test_a_release_is_the_first_word_of_the_version(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bzimage(RELEASE))
    (tmp_path / "b").write_bytes(bzimage("5.10.0-46-amd64", at=0x900))
    assert image_release(tmp_path / "a") == RELEASE
    assert image_release(tmp_path / "b") == "5.10.0-46-amd64"


@pytest.mark.parametrize(
    "image",
    [
        b"",
        b"\x7fELF" + bytes(5000),
        bzimage(RELEASE)[: HEADER_AT + 4],
        bzimage(RELEASE)[:0x402],
        bzimage("../../etc"),
        bytes(HEADER_AT) + b"\0\0" + bzimage(RELEASE)[HEADER_AT + 2 :],
        bzimage(RELEASE, at=0x200),
    ],
)
def test_what_is_no_image_is_refused(tmp_path: Path, image: bytes) -> None:
    (tmp_path / "vmlinuz").write_bytes(image)
    assert "is no bootable x86 kernel image" in refusal(tmp_path / "vmlinuz")


def test_the_host_needs_no_files() -> None:
    host = resolve("host")
    assert (host.release, host.image, host.modules) == (os.uname().release, None, None)
    assert module_missing(host, ["kernel", "proc", "no_such_module"]) == ["no_such_module"]


def test_an_unknown_name_is_answered_with_near_ones() -> None:
    assert refusal("debian:6.11").endswith("did you mean debian:6.1 or debian:6.12?")
    assert all(name in refusal("zzz") for name in catalogue())


@pytest.mark.parametrize("lib", ["lib", "usr/lib"])
def test_an_unpacked_kernel_gets_an_index_in_the_cache(tmp_path: Path, lib: str) -> None:
    image = unpacked(tmp_path / "x", RELEASE, lib=lib)
    before = sorted(tmp_path.glob("x/**/*"))
    kernel = resolve(str(image))
    assert (kernel.name, kernel.release) == (str(image), RELEASE)
    assert kernel.image is not None
    assert kernel.modules is not None
    assert kernel.config is not None
    assert kernel.image.read_bytes() == image.read_bytes()
    assert kernel.config.read_text() == "CONFIG_BTRFS_FS=m\n"
    assert kernel.modules == folder() / kernel.label / "tree"
    # Whichever of the two this machine's modprobe looks at.
    for place in ("lib", "usr/lib"):
        assert (kernel.modules / place / "modules" / RELEASE / "kernel/fs/btrfs.ko").exists()
    assert module_missing(kernel, WANTED) == ["9pnet_virtio"]
    assert sorted(tmp_path.glob("x/**/*")) == before


def test_modules_beside_the_image_serve(tmp_path: Path) -> None:
    unpacked(tmp_path, RELEASE)
    image = tmp_path / "lib/modules" / RELEASE / "vmlinuz"
    image.write_bytes(bzimage(RELEASE))
    assert module_missing(resolve(str(image)), WANTED) == ["9pnet_virtio"]


def test_an_installed_kernel_is_used_where_it_is(tmp_path: Path) -> None:
    image = unpacked(tmp_path / "x", RELEASE)
    modules = tmp_path / "x/lib/modules" / RELEASE
    (modules / "modules.dep").write_text("kernel/fs/btrfs.ko: kernel/fs/loop.ko\n")
    (tmp_path / "x/usr").mkdir()
    (tmp_path / "x/usr/lib").symlink_to("../lib")
    kernel = resolve(str(image))
    assert (kernel.image, kernel.modules) == (image, tmp_path / "x")
    assert module_missing(kernel, WANTED) == ["loop", "9pnet_virtio"]
    assert installed() == []


@pytest.mark.parametrize("lost", ["btrfs", "xor"])
def test_a_module_that_is_listed_but_cannot_be_loaded_is_missing(tmp_path: Path, lost: str) -> None:
    image = unpacked(tmp_path, RELEASE)
    (tmp_path / "usr").mkdir()
    (tmp_path / "usr/lib").symlink_to("../lib")
    files = tmp_path / "lib/modules" / RELEASE / "kernel/fs"
    (files / "xor.ko").touch()
    (files.parents[1] / "modules.dep").write_text("kernel/fs/btrfs.ko: kernel/fs/xor.ko\nkernel/fs/xor.ko:\n")
    assert module_missing(resolve(str(image)), ["btrfs"]) == []
    (files / f"{lost}.ko").unlink()
    assert module_missing(resolve(str(image)), ["btrfs"]) == ["btrfs"]


def test_an_image_without_its_modules_is_refused(tmp_path: Path) -> None:
    modules(tmp_path / "lib/modules/6.1.0")
    (tmp_path / "vmlinuz").write_bytes(bzimage(RELEASE))
    assert f"is of {RELEASE}, whose modules are nowhere above it" in refusal(tmp_path / "vmlinuz")


@pytest.mark.parametrize("order", ["fs/btrfs/btrfs.o\n", "fs/btrfs/btrfs.ko\n", "kernel/fs/btrfs/btrfs.ko\n"])
def test_a_build_tree_is_mapped_by_links(tmp_path: Path, order: str) -> None:
    image = build_tree(tmp_path / "linux", order=order)
    by_tree, by_image = resolve(str(tmp_path / "linux")), resolve(str(image))
    assert (by_tree.label, by_tree.release) == (by_image.label, RELEASE)
    assert module_missing(by_tree, WANTED) == ["bcache", "9pnet_virtio"]
    assert by_tree.modules is not None
    module = by_tree.modules / "lib/modules" / RELEASE / "kernel/fs/btrfs/btrfs.ko"
    assert module.resolve() == tmp_path / "linux/fs/btrfs/btrfs.ko"


def test_a_build_tree_is_mapped_anew_when_it_was_built_anew(tmp_path: Path) -> None:
    build_tree(tmp_path / "linux")
    told: list[str] = []
    resolve(str(tmp_path / "linux"), told.append)
    resolve(str(tmp_path / "linux"), told.append)
    assert len(told) == 1
    (tmp_path / "linux/fs/btrfs/btrfs.ko").write_text("changed")
    kernel = resolve(str(tmp_path / "linux"), told.append)
    assert len(told) == 2
    assert [entry.label for entry in installed()] == [kernel.label]
    assert remove(str(tmp_path / "linux")).release == RELEASE


def test_a_build_tree_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    build_tree(tmp_path / "a", release="6.13.0")
    assert refusal(tmp_path / "a").endswith("its tree of 6.13.0: build it (make)")
    build_tree(tmp_path / "b", order="fs/btrfs/btrfs.o\nfs/xfs/xfs.o\n")
    assert "has no fs/xfs/xfs.ko" in refusal(tmp_path / "b")
    build_tree(tmp_path / "c")
    (tmp_path / "c/modules.order").unlink()
    assert "has no modules.order" in refusal(tmp_path / "c")
    (tmp_path / "c/arch/x86/boot/bzImage").unlink()
    assert "has no arch/x86/boot/bzImage" in refusal(tmp_path / "c")
    assert "is no tree in which a kernel was built" in refusal(tmp_path)


def test_all_may_be_built_in(tmp_path: Path) -> None:
    build_tree(tmp_path / "linux")
    (tmp_path / "linux/modules.order").unlink()
    (tmp_path / "linux/.config").write_text("# CONFIG_MODULES is not set\n")
    assert module_missing(resolve(str(tmp_path / "linux")), WANTED) == ["btrfs", "bcache", "9pnet_virtio"]


def test_a_failing_depmod_leaves_nothing(tmp_path: Path) -> None:
    tool(tmp_path / "bin", "depmod", "echo 'depmod: ERROR: it broke' >&2\nexit 1\n")
    assert "depmod fails" in refusal(unpacked(tmp_path / "x", RELEASE))
    assert installed() == []
    assert not list(folder().rglob("vmlinuz*"))


def test_a_missing_depmod_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.kernels.tools.SYSTEM", "")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert refusal(unpacked(tmp_path / "x", RELEASE)) == "depmod is missing: install it (Debian package kmod)"


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    image = unpacked(tmp_path / "x", RELEASE)
    monkeypatch.setattr("harness.kernels.local.shutil.copyfile", no_space)
    assert "no space is left" in refusal(image)
    assert [path.suffix for path in folder().rglob("*") if path.is_file()] == [".lock"]


def test_remove_touches_only_what_the_cache_knows(tmp_path: Path) -> None:
    image = unpacked(tmp_path / "x", RELEASE)
    label = resolve(str(image)).label
    for name, manifest in {"mine": "{}", "copy": (folder() / label / "kernel.json").read_text()}.items():
        (folder() / name).mkdir()
        (folder() / name / "kernel.json").write_text(manifest)
    assert [entry.label for entry in installed()] == [label]
    for name in ("mine", "copy", "host", "debian:6.12", "../..", str(tmp_path)):
        with pytest.raises(UserError, match=r"^no kernel "):
            remove(name)
    assert remove(str(image)).label == label
    assert cached(label) is None
    assert image.exists()
    assert sorted(path.name for path in folder().iterdir()) == [".work", "copy", "mine"]


def test_fetch_says_when_there_is_nothing_to_do(tmp_path: Path) -> None:
    image = unpacked(tmp_path / "x", RELEASE)
    told: list[str] = []
    fetch(str(image), told.append)
    fetch(str(image), told.append)
    assert told == [f"{image}: indexing the modules of {RELEASE}", f"{image}: {RELEASE} is here already"]
