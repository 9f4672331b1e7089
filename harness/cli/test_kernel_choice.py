# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a run goes, and why one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli import kernel_choice
from harness.cli.kernel_choice import DEFAULT_GUEST, chosen_kernels, guest_kernel, way_of_a_run
from harness.errors import UserError
from harness.guest.drives import DRIVES, ROTATIONAL, Devices
from harness.kernels import HOST, Kernel
from harness.run import GuestOptions


class Machine:
    """What the machine of a test lacks, and what was asked of it."""

    def __init__(self) -> None:
        self.run: list[str] = []
        self.host: list[str] = []
        self.guests: list[str] = []
        self.modules: set[str] = set()
        self.resolved: list[str] = []

    def resolve(self, name: str, _progress: object) -> Kernel:
        self.resolved.append(name)
        return Kernel(name, name.replace(":", "-"), "6.0", Path("image"), Path("modules"), None)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Return a machine that lacks nothing."""
    made = Machine()
    monkeypatch.setattr(kernel_choice, "missing_for_run", lambda _work, **_options: list(made.run))
    monkeypatch.setattr(kernel_choice, "missing_for_host", lambda: list(made.host))
    monkeypatch.setattr(kernel_choice, "missing_for_guests", lambda _memory: list(made.guests))
    monkeypatch.setattr(
        kernel_choice, "module_missing", lambda _kernel, names: [n for n in names if n in made.modules]
    )
    monkeypatch.setattr(kernel_choice, "resolve", made.resolve)
    monkeypatch.setattr(kernel_choice, "accelerator", lambda: "tcg")
    return made


def names(tmp_path: Path, *wanted: str, devices: Devices = "loop") -> list[str]:
    return [k.name for k in chosen_kernels(wanted, tmp_path, "bpf", GuestOptions(devices=devices))]


def test_a_run_goes_to_the_running_kernel(machine: Machine, tmp_path: Path) -> None:
    machine.guests = ["no emulator"]
    assert names(tmp_path) == [HOST]
    assert way_of_a_run(tmp_path).possible


def test_where_that_cannot_be_it_goes_into_a_guest_and_says_why(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.host = ["not root: start as root"]
    assert names(tmp_path) == [DEFAULT_GUEST]
    assert "not root: start as root" in capsys.readouterr().err
    way = way_of_a_run(tmp_path)
    assert way.possible
    assert "not root" in way.how
    assert DEFAULT_GUEST in way.how


def test_where_neither_can_be_both_reasons_are_told(machine: Machine, tmp_path: Path) -> None:
    machine.host, machine.guests = ["not root"], ["no emulator"]
    with pytest.raises(UserError, match=r"^not root; no emulator$"):
        names(tmp_path)
    way = way_of_a_run(tmp_path)
    assert not way.possible
    assert "not root" in way.how
    assert "no emulator" in way.how


def test_kernels_come_in_the_order_given_and_once(machine: Machine, tmp_path: Path) -> None:
    wanted = ("debian:sid", HOST, "debian:sid")
    assert names(tmp_path, *wanted) == ["debian:sid", HOST]
    assert machine.resolved == ["debian:sid", HOST]


def test_nothing_is_fetched_for_a_run_that_cannot_be(machine: Machine, tmp_path: Path) -> None:
    machine.guests = ["qemu-system-x86_64 is not installed"]
    with pytest.raises(UserError, match="qemu-system-x86_64 is not installed"):
        names(tmp_path, "debian:6.1")
    assert machine.resolved == []


def test_every_reason_is_told_at_once(machine: Machine, tmp_path: Path) -> None:
    machine.run, machine.host, machine.guests = ["no fio"], ["not root"], ["too little memory"]
    with pytest.raises(UserError, match=r"^not root; no fio; too little memory$"):
        names(tmp_path, HOST, "debian:6.1")


def test_a_kernel_without_btrfs_is_refused(machine: Machine, tmp_path: Path) -> None:
    machine.modules = {"btrfs"}
    with pytest.raises(UserError, match=r"debian:6\.1 has no module btrfs: give a kernel that has"):
        names(tmp_path, "debian:6.1")


def test_drives_need_a_kernel_that_knows_them(machine: Machine, tmp_path: Path) -> None:
    machine.modules = {"virtio_blk"}
    assert names(tmp_path, "debian:6.1") == ["debian:6.1"]
    assert names(tmp_path, HOST, devices=DRIVES) == [HOST]
    for choose in (
        lambda: names(tmp_path, "debian:6.1", devices=DRIVES),
        lambda: names(tmp_path, "debian:6.1", devices=ROTATIONAL),
        lambda: guest_kernel("debian:6.1", 1 << 30, DRIVES),
    ):
        with pytest.raises(UserError, match="no module virtio_blk, which virtio drives need: give a kernel"):
            choose()


@pytest.mark.usefixtures("machine")
def test_a_shell_needs_another_kernel_than_the_running_one() -> None:
    with pytest.raises(UserError, match="the running kernel needs no guest"):
        guest_kernel(HOST, 1 << 30, "loop")
    assert guest_kernel("debian:6.1", 1 << 30, "loop").name == "debian:6.1"
