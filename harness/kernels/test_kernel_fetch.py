# SPDX-License-Identifier: GPL-2.0-or-later
"""Fetching and unpacking, with stand-ins for apt: what comes, what is refused, and what is left."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.kernels import fetch, installed, module_missing, resolve
from harness.kernels.apt import AS_ROOT, Apt
from harness.kernels.kernel import Kernel
from harness.kernels.store import folder, locked, publish, scratch
from harness.kernels.testing import FAKE_DEPMOD, bzimage, deb, modules, tool, unpacked

pytestmark = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not installed")

RELEASE = "6.12.9+deb12-amd64"
VERSION = "6.12.9-1"
IMAGE = f"linux-image-{RELEASE}"
SPLIT = "7.2.1-amd64"


class Machine:
    """Stand-ins for the tools, and an archive of packages."""

    def __init__(self, root: Path) -> None:
        self.bin, self.archive, self.root = root / "bin", root / "archive", root
        self.archive.mkdir()
        (root / "sources.list").write_text("deb http://m.example/debian bookworm main\n")
        self.tool("depmod", FAKE_DEPMOD)
        self.tool("apt-config", f"echo FILE=\\'{root}/sources.list\\' FOLDER=\\'{root}/none/\\'\n")
        self.tool("dpkg", '[ "$1" = --print-architecture ] && echo amd64 && exit\n[ "$2" \\> "$4" ]\n')
        self.tool("apt-cache", f'case $3 in show) cat {self.archive}/stanzas;; *) echo "{IMAGE}";; esac\n')
        self.apt()

    def tool(self, name: str, script: str) -> None:
        tool(self.bin, name, script)

    def apt(self, update: str = "true", download: str = "") -> None:
        copy = f"for p in $(ls {self.archive}); do case $p in *.deb) cp {self.archive}/$p .;; esac; done"
        self.tool("apt-get", f"case $* in *update*) {update};; *) {download or copy};; esac\n")

    def offers(self, name: str, version: str, make: Callable[[Path], object], depends: str = "") -> Path:
        tree = self.root / "trees" / name
        make(tree)
        file = deb(self.archive, name, version, tree, depends)
        stanza = f"Package: {name}\nVersion: {version}\nDepends: {depends}\nSize: 9\nInstalled-Size: 9\n\n"
        with (self.archive / "stanzas").open("a") as stanzas:
            stanzas.write(stanza)
        return file

    def offers_kernel(self) -> Path:
        return self.offers(IMAGE, VERSION, lambda tree: unpacked(tree, RELEASE))

    def offers_split_kernel(self) -> dict[str, Path]:
        def image(tree: Path) -> None:
            (tree / "usr/lib/modules" / SPLIT).mkdir(parents=True)
            (tree / "usr/lib/modules" / SPLIT / "vmlinuz").write_bytes(bzimage(SPLIT))

        def all_modules(tree: Path) -> None:
            modules(tree / "usr/lib/modules" / SPLIT)

        base = f"linux-base-{SPLIT}"
        depends = f"kmod, linux-binary-{SPLIT} (= 1), linux-modules-{SPLIT} (= 1)"
        return {
            "image": self.offers(f"linux-image-{SPLIT}", "1", lambda tree: tree.mkdir(parents=True), depends),
            "binary": self.offers(f"linux-binary-{SPLIT}", "1", image, f"{base} (= 1)"),
            "modules": self.offers(f"linux-modules-{SPLIT}", "1", all_modules, f"{base} (= 1)"),
            "base": self.offers(base, "1", lambda tree: tree.mkdir(parents=True)),
        }


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return Machine(tmp_path)


def refusal(name: str | Path) -> str:
    with pytest.raises(UserError) as refused:
        resolve(str(name))
    assert "\n" not in str(refused.value)
    assert installed() == []
    return str(refused.value)


def left() -> list[str]:
    """Return the files that a failure left in the cache, but for locks, which are empty."""
    return sorted(path.name for path in folder().rglob("*") if path.is_file() and path.suffix != ".lock")


def shown(kernel: Kernel) -> tuple[str, str, list[str]]:
    return kernel.label, kernel.release, module_missing(kernel, ["btrfs", "bcache", "9p"])


def test_a_kernel_is_fetched_once(machine: Machine) -> None:
    machine.offers_kernel()
    told: list[str] = []
    kernel = fetch("debian:6.12", told.append)
    assert shown(kernel) == ("debian-6.12", RELEASE, ["9p"])
    assert kernel.image is not None
    assert kernel.image.read_bytes() == bzimage(RELEASE)
    steps = (
        "reading the package lists of bookworm at http://m.example",
        "downloading",
        "unpacking",
        "is ready",
    )
    assert [step in line for step, line in zip(steps, told, strict=True)] == [True] * 4
    (entry,) = installed()
    assert entry.packages == {IMAGE: VERSION}
    assert not list(folder().rglob("*.deb"))
    # Offline from here on.
    machine.apt(update="exit 100", download="exit 100")
    told.clear()
    assert fetch("debian:6.12", told.append) == kernel == resolve("debian:6.12")
    assert told == [f"debian:6.12: {RELEASE} is here already; remove it first to get a newer one"]


def test_all_parts_of_a_split_kernel_are_fetched(machine: Machine) -> None:
    machine.offers_split_kernel()
    assert shown(resolve("debian:sid")) == ("debian-sid", SPLIT, ["9p"])
    (entry,) = installed()
    assert len(entry.packages) == 4


def test_a_kernel_gone_from_the_archive(machine: Machine) -> None:
    (machine.archive / "stanzas").touch()
    assert "debian:5.10 is gone from the archive (http://m.example/debian): give a" in refusal("debian:5.10")
    machine.apt(update="echo \"E: The repository 'x' does not have a Release file.\" >&2; exit 100")
    assert "debian:6.12 is gone from the archive" in refusal("debian:6.12")
    assert left() == []


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("E: Failed to fetch x  Temporary failure resolving y", "the Debian archive cannot be reached"),
        (
            "E: x does not have a Release file.\nE: Could not connect to y",
            "the Debian archive cannot be reached",
        ),
        (
            "W: GPG error: x: NO_PUBKEY 1\nE: The repository is not signed.",
            "the archive's signature does not hold",
        ),
        ("E: Write error - write (28: No space left on device)", "no space is left for kernels"),
        ("E: Something else\nE: and more", "apt-get fails: Something else"),
        ("", "apt-get fails: it fails without a word"),
    ],
)
def test_lists_that_cannot_be_read(machine: Machine, message: str, told: str) -> None:
    (machine.root / "message").write_text(message)
    machine.apt(update=f"cat {machine.root}/message >&2; exit 100")
    assert refusal("debian:6.12").startswith(told)
    assert left() == []


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("E: x  Hash Sum mismatch", "the download was damaged and is thrown away"),
        ("E: Write error - write (28: No space left on device)", "no space is left for kernels"),
    ],
)
def test_a_download_of_no_use_is_thrown_away(machine: Machine, message: str, told: str) -> None:
    machine.offers_kernel()
    machine.apt(download=f'echo x > {IMAGE}_{VERSION}_amd64.deb; echo "{message}" >&2; exit 100')
    assert refusal("debian:6.12").startswith(told)
    assert left() == []


def test_a_package_that_only_the_lists_have(machine: Machine) -> None:
    machine.offers_kernel()
    machine.apt(download="echo 'E: Failed to fetch x  404  Not Found' >&2; exit 100")
    assert refusal("debian:6.12").startswith(
        "the archive lists what it does not have (Failed to fetch x  404"
    )
    assert left() == []


def test_two_fetches_at_once_wait_for_each_other(machine: Machine) -> None:
    machine.offers_kernel()
    told: list[str] = []
    with ThreadPoolExecutor() as pool, locked("debian-6.12", told.append):
        waiting = threading.Event()

        def tell(line: str) -> None:
            told.append(line)
            waiting.set()

        second = pool.submit(resolve, "debian:6.12", tell)
        assert waiting.wait(60)
        assert told == ["waiting for another iodiff that is at work on debian-6.12"]
        assert installed() == []
        # As the first one leaves it.
        with scratch("debian-6.12") as tree:
            tree.rmdir()
            unpacked(tree, RELEASE)
            publish(tree, "debian:6.12", "debian-6.12", "")
    assert second.result().release == RELEASE
    assert len(told) == 1


def test_an_interrupted_download_is_gone_on_with(machine: Machine) -> None:
    machine.offers_kernel()
    file = f"{IMAGE}_{VERSION}_amd64.deb"
    machine.apt(download=f'printf half > {file}; echo "E: Connection failed" >&2; exit 100')
    refusal("debian:6.12")
    (kept,) = folder().rglob("*.deb")
    assert kept.read_text() == "half"
    (kept.parent / "linux-image-old_1_amd64.deb").touch()
    machine.apt(download=f"[ $(cat *.deb) = half ] && cp {machine.archive}/{file} .")
    told: list[str] = []
    assert resolve("debian:6.12", told.append).release == RELEASE
    assert any("0.0 KiB of it are here" in line for line in told)
    assert not list(folder().rglob("*.deb"))


def test_ctrl_c_stops_apt_and_keeps_what_came(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.offers_kernel()
    pid = machine.root / "pid"
    machine.apt(download=f"printf half > {IMAGE}_{VERSION}_amd64.deb; echo $$ > {pid}; exec sleep 100")

    def interrupted(*_: object) -> int:
        while not pid.exists() or not pid.read_text().endswith("\n"):
            pass
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.kernels.apt._step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        resolve("debian:6.12")
    assert not Path("/proc", pid.read_text().strip()).exists()
    assert [path.read_text() for path in folder().rglob("*.deb")] == ["half"]
    assert installed() == []


def test_a_damaged_package_leaves_nothing(machine: Machine) -> None:
    file = machine.offers_kernel()
    file.write_bytes(file.read_bytes()[:-600])
    assert f"{file} is damaged" in refusal(file)
    assert left() == []
    file.write_bytes(b"no package")
    assert "is no Debian package" in refusal(file)
    file.unlink()
    assert refusal(file) == f"there is no file {file}"


def test_too_little_disk_is_told_before_the_download(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.offers_kernel()
    monkeypatch.setattr("harness.kernels.debian.SLACK", 1 << 60)
    machine.apt(download="exit 1")
    assert "are needed: free some, or set XDG_CACHE_HOME" in refusal("debian:6.12")


def test_a_disk_that_fills_up_while_unpacking(machine: Machine) -> None:
    file = machine.offers_kernel()
    fields = f"Package: {IMAGE}\\nVersion: 1\\n"
    unpack = "touch $3/x; echo 'tar: x: No space left on device' >&2; exit 2"
    machine.tool("dpkg-deb", f"[ $1 = --field ] && printf '{fields}' && exit\n{unpack}\n")
    assert "no space is left for kernels" in refusal(file)
    assert left() == []


def test_machines_that_cannot_fetch(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.tool("dpkg", "echo arm64")
    assert refusal("debian:6.12") == "Debian's kernels are fetched for amd64 only, not for arm64"
    machine.tool("dpkg", "echo amd64")
    (machine.root / "sources.list").write_text("deb http://u.example/ubuntu noble main\n")
    assert refusal("debian:6.12").startswith(
        "this machine's apt has no source of Debian in /etc/apt: give a "
    )
    monkeypatch.setattr("harness.kernels.tools.SYSTEM", "")
    monkeypatch.setenv("PATH", str(machine.root / "empty"))
    assert refusal("debian:6.12") == "dpkg is missing: install it (Debian package dpkg)"


def test_a_package_file_is_unpacked_anew_when_it_is_another(machine: Machine) -> None:
    file = machine.offers_kernel()
    told: list[str] = []
    kernel = resolve(str(file), told.append)
    assert shown(kernel)[1:] == (RELEASE, ["9p"])
    resolve(str(file), told.append)
    assert len(told) == 1
    shutil.copy(file, machine.root / "copy.deb")
    (machine.root / "copy.deb").rename(file)
    os.utime(file, (1, 1))
    assert resolve(str(file), told.append) == kernel
    assert len(told) == 2


def test_the_parts_of_a_split_kernel_lie_beside_each_other(machine: Machine) -> None:
    files = machine.offers_split_kernel()
    files["base"].rename(machine.root / "base.deb")
    said = refusal(files["image"])
    assert said == f"{files['image']} is a part of a kernel: put linux-base-{SPLIT}.deb (1) beside it"
    (machine.root / "base.deb").rename(files["base"])
    assert shown(resolve(str(files["image"])))[1:] == (SPLIT, ["9p"])


@pytest.mark.parametrize("part", ["binary", "modules", "base"])
def test_a_part_that_names_no_others_is_refused(machine: Machine, part: str) -> None:
    file = machine.offers_split_kernel()[part]
    said = refusal(file)
    assert said == f"{file} is a part of a kernel: name linux-image-{SPLIT}.deb, with this one beside it"


def test_a_package_without_modules_is_refused(machine: Machine) -> None:
    def image(tree: Path) -> None:
        shutil.rmtree(unpacked(tree, RELEASE).parents[1] / "lib")

    file = machine.offers(IMAGE, VERSION, image)
    assert refusal(file) == f"{file}: the image is of {RELEASE}, for which there are no modules"
    assert left() == []


def test_other_packages_are_no_kernels(machine: Machine) -> None:
    file = machine.offers("fio", "3", lambda tree: tree.mkdir(parents=True))
    assert refusal(file) == f"{file} is the package fio, no kernel (linux-image-RELEASE)"


def test_apt_is_kept_off_the_system(tmp_path: Path) -> None:
    Apt(tmp_path, "")
    written = (tmp_path / "apt.conf").read_text()
    for setting in ("Dir::State::lists", "Dir::Cache", "Dir::Etc::sourcelist"):
        assert f'{setting} "{tmp_path}/' in written
    for setting in (
        "AllowUnauthenticated",
        "AllowInsecureRepositories",
        "AllowDowngradeToInsecureRepositories",
    ):
        assert f'{setting} "false";' in written
    assert all(f"#clear APT::Update::{hook};" in written for hook in ("Post-Invoke", "Post-Invoke-Success"))
    assert (AS_ROOT in written) == (os.geteuid() == 0)
