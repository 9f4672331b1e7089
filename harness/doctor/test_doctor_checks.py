# SPDX-License-Identifier: GPL-2.0-or-later
"""The single probes, on a machine that is made to look different."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.doctor import (
    checks,
    devices,
    guest,
    machine,
    missing_for_guests,
    missing_for_host,
    missing_for_run,
    probe_all,
    tools,
)
from harness.doctor.bpf_probe import attach_raw_tracepoint
from harness.doctor.probes import MissingError


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only folder of PATH, empty."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def tool(folder: Path, name: str, says: str, code: int = 0) -> None:
    (folder / name).write_text(f"#!/bin/sh\necho '{says}'\nexit {code}\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize("version", ["3.28", "3.33", "3.36-12-gabcd", "4.0"])
def test_fio_new_enough(bin_folder: Path, version: str) -> None:
    tool(bin_folder, "fio", f"fio-{version}")
    assert tools.fio() == version


@pytest.mark.parametrize(
    ("says", "code", "reason"),
    [
        ("fio-3.27", 0, "fio-3.27 is too old: install fio 3.28 or newer"),
        ("fio-2.99", 0, "fio-2.99 is too old"),
        ("nonsense", 0, "gives its version as 'nonsense'"),
        ("", 127, "fio fails: exit code 127"),
    ],
)
def test_fio_not_good_enough(bin_folder: Path, says: str, code: int, reason: str) -> None:
    tool(bin_folder, "fio", says, code)
    with pytest.raises(MissingError, match=reason):
        tools.fio()


def test_missing_tools_name_their_package(bin_folder: Path) -> None:
    assert list(bin_folder.iterdir()) == []
    with pytest.raises(MissingError, match="fio is not installed: install the package fio "):
        tools.fio()
    with pytest.raises(MissingError, match=r"mkfs\.btrfs is not installed: install the package btrfs-progs "):
        tools.btrfs_progs()


def test_both_tools_of_btrfs_progs_are_wanted(bin_folder: Path) -> None:
    tool(bin_folder, "mkfs.btrfs", "")
    with pytest.raises(MissingError, match="btrfs is not installed"):
        tools.btrfs_progs()
    tool(bin_folder, "btrfs", "btrfs-progs v6.2")
    assert tools.btrfs_progs() == "6.2"


def test_clang_without_headers_says_so(bin_folder: Path) -> None:
    tool(bin_folder, "clang", "x")
    (bin_folder / "clang").write_text("#!/bin/sh\necho \"<stdin>:2: fatal error: 'bpf/x.h'\" >&2\nexit 1\n")
    with pytest.raises(MissingError, match=r"fatal error: 'bpf/x\.h'.*libbpf-dev"):
        tools.clang()


def test_space_is_measured_where_the_directory_would_be(tmp_path: Path) -> None:
    assert str(tmp_path) in machine.free_space(tmp_path / "not" / "yet", 1)
    with pytest.raises(MissingError, match="GiB are needed"):
        machine.free_space(tmp_path, 1 << 62)


def test_memory_is_compared() -> None:
    assert machine.memory(1).endswith("GiB available")
    with pytest.raises(MissingError):
        machine.memory(1 << 62)


def test_a_package_that_cannot_be_imported_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert machine.python_packages().startswith("all ")
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["no_such_package"]\n')
    monkeypatch.setattr(machine, "ROOT_FOLDER", tmp_path)
    with pytest.raises(MissingError, match="no_such_package"):
        machine.python_packages()


def test_the_boot_sector_boots_and_finds_its_word() -> None:
    sector = guest.boot_sector()
    assert (len(sector), sector[-2:]) == (guest.SECTOR_BYTES, b"\x55\xaa")
    # mov si, imm16 is the third instruction; sectors are loaded at 0x7c00.
    assert sector[4] == 0xBE
    word = int.from_bytes(sector[5:7], "little") - 0x7C00
    assert sector[word:].startswith(guest.WORD + b"\0")


@pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="qemu-system-x86_64 is not installed")
def test_the_boot_sector_speaks_under_emulation(tmp_path: Path) -> None:
    disk = tmp_path / "boot.img"
    disk.write_bytes(guest.boot_sector())
    assert guest.boot("qemu-system-x86_64", "tcg", guest.sector_options(disk)) == guest.WORD


def test_a_guest_that_hangs_is_given_up(bin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (bin_folder / "emulator").write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    (bin_folder / "emulator").chmod(0o755)
    monkeypatch.setattr(guest, "BOOT_DEADLINE_S", 0.1)
    with pytest.raises(MissingError, match="the guest hung"):
        guest.boot("emulator", "kvm", [])


@pytest.mark.parametrize("kernel", [None, Path("vmlinuz")])
def test_kvm_has_to_boot_a_kernel_where_there_is_one(
    kernel: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some machines' KVM runs a boot sector, and no kernel."""

    def boot(_emulator: str, _accelerator: str, options: Sequence[str]) -> bytes:
        return b"" if "-kernel" in options else guest.WORD

    monkeypatch.setattr(guest, "_find_emulator", lambda: "qemu")
    monkeypatch.setattr(guest, "_open_kvm", lambda: None)
    monkeypatch.setattr(guest, "boot", boot)
    if kernel is None:
        assert "no kernel is fetched" in guest.kvm()
    else:
        with pytest.raises(MissingError, match="without its word"):
            guest.kvm(kernel)


def test_run_is_told_everything_that_is_missing(
    bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(bin_folder.iterdir()) == []
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(checks, "MINIMUM_FREE_BYTES", 1 << 62)
    monkeypatch.setattr(checks, "_program_is_compiled", lambda: False)
    missing = missing_for_run(tmp_path)
    for line, start in zip(missing, ("fio is not", "mkfs.btrfs is not", "", "clang is not"), strict=True):
        assert line.startswith(start)
    assert missing_for_host()[0].startswith("not root: ")
    for line, start in zip(
        missing_for_guests(1 << 62), ("qemu-system-x86_64 is not", "busybox is not", ""), strict=True
    ):
        assert line.startswith(start)
    monkeypatch.setattr(checks, "_program_is_compiled", lambda: True)
    assert missing_for_run(tmp_path) == missing[:-1]
    assert missing_for_run(tmp_path, capture="tracefs") == missing[:-1]


def test_without_root_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(MissingError, match="not root"):
        devices.loop(tmp_path / "work")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.live
def test_devices_are_tried_and_nothing_is_left(tmp_path: Path) -> None:
    for probe in (devices.loop, devices.btrfs, devices.trace_events):
        assert probe(tmp_path / "work")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.live
def test_bpf_refuses_what_is_not_there() -> None:
    with pytest.raises(FileNotFoundError):
        attach_raw_tracepoint("iodiff_no_such_event")


@pytest.mark.live
def test_all_probes_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest, "BOOT_DEADLINE_S", 2)
    probes = probe_all(tmp_path / "work")
    assert {"root", "loop devices", "btrfs"} <= {probe.name for probe in probes if probe.ok}
    assert all(bool(probe.found) == probe.ok != bool(probe.reason) for probe in probes)
    assert list(tmp_path.iterdir()) == []
