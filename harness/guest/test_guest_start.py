# SPDX-License-Identifier: GPL-2.0-or-later
"""The command and the script a guest starts with."""

from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.guest import start
from harness.guest.accelerator import Accelerator
from harness.guest.drives import serials
from harness.guest.python_image import SERIAL, PythonImage
from harness.guest.root import SCRIPT, host_folders, make_root
from harness.guest.start import EMULATED_CPU, GuestPlan, command, script, shell_command, shell_script
from harness.guest.testing import guest_plan


@pytest.fixture
def plan(tmp_path: Path) -> GuestPlan:
    return guest_plan(tmp_path)


def test_scripts_are_shell(plan: GuestPlan) -> None:
    for text in (script(plan, "word"), shell_script(plan)):
        subprocess.run(["sh", "-n"], input=text, text=True, check=True)


def test_the_agent_is_this_python_and_told_the_word(plan: GuestPlan) -> None:
    assert script(plan, "word").endswith(f"{sys.executable} -m harness.guest.agent word\n")


def test_emulation_is_asked_for_where_kvm_does_not_boot(plan: GuestPlan) -> None:
    assert "--disable-kvm" not in command(plan, Path("s"))
    emulated = command(replace(plan, accelerator=Accelerator("tcg")), Path("s"))
    assert {"--disable-kvm", "tsc=reliable", EMULATED_CPU} <= set(emulated)
    assert not {"tsc=reliable", EMULATED_CPU} & set(command(plan, Path("s")))


def test_the_guest_writes_to_one_folder_only(plan: GuestPlan) -> None:
    words = command(plan, Path("s"))
    exports = [word for word in words if word.startswith("local,")]
    assert [word for word in exports if "readonly=on" not in word] == [
        f"local,id=exchange,path={plan.exchange},security_model=none,multidevs=remap"
    ]
    assert not {"--rw", "--rwdir"} & set(words)


def test_odd_names_survive_qemu(plan: GuestPlan) -> None:
    """A comma in a path is written twice."""
    words = command(replace(plan, exchange=Path("/a,b")), Path("s"))
    assert any("path=/a,,b," in word for word in words)


def test_drives_are_given_with_the_serials_they_are_known_by(plan: GuestPlan) -> None:
    assert "virtio_blk" not in script(plan, "word")
    assert not [word for word in command(plan, Path("s")) if word.startswith("virtio-blk")]
    with_drives = replace(plan, drives=(1 << 30, 2 << 30))
    assert "modprobe -q -a loop btrfs virtio_blk &\n" in script(with_drives, "word")
    assert "virtio_blk" in shell_script(with_drives)
    for words in (command(with_drives, Path("s")), shell_command(with_drives, Path("s"))):
        given = [word.split(",") for word in words[words.index("--qemu-opts") :]]
        devices = [options for options in given if options[0] == "virtio-blk-pci"]
        for serial, options in zip(serials([1, 1]), devices, strict=True):
            assert {f"serial={serial}", f"drive={serial}"} <= set(options)
        files = [option for options in given for option in options if option.startswith("file=")]
        assert files == ["file=iodiff-00", "file=iodiff-01"]


def test_a_kernel_that_dies_is_gone_unless_somebody_wants_to_look(plan: GuestPlan) -> None:
    assert {"oops=panic", "panic=-1"} <= set(command(plan, Path("s")))
    words = command(replace(plan, debug=True), Path("s"))
    assert {"oops=panic", "panic=0", "-gdb", "-qmp"} <= set(words)


def test_all_that_the_host_has_is_there(plan: GuestPlan) -> None:
    """But for what is the guest's own."""
    bound = [
        line.split()[-1] for line in script(plan, "word").splitlines() if line.startswith("mount --bind")
    ]
    for needed in (Path(sys.prefix), Path(sys.base_prefix), start.ROOT, Path("/usr"), Path("/etc")):
        assert any(needed.is_relative_to(folder) for folder in bound)
    assert not {"/dev", "/proc", "/run", "/sys"} & set(bound)


def test_the_root_has_a_place_for_everything(tmp_path: Path) -> None:
    make_root(tmp_path / "root", "true\n")
    for name in (*host_folders(), "dev", "proc", "run", "sys"):
        assert list((tmp_path / "root" / name).iterdir()) == [] or name in ("bin", "etc")
    assert (tmp_path / "root" / SCRIPT.lstrip("/")).read_text() == "true\n"
    for applet in (tmp_path / "root" / "bin").iterdir():
        assert applet.resolve().name == "busybox"


def test_python_is_read_from_its_drive_where_there_is_one(plan: GuestPlan) -> None:
    image = PythonImage(Path("/cache/a,b.img"), (Path("/usr/lib/python"), Path("/some/venv")))
    with_image = replace(plan, python=image)
    assert any("file=/cache/a,,b.img," in word for word in command(with_image, Path("s")))
    assert SERIAL not in script(plan, "word")
    bound = [line.split()[-2:] for line in script(with_image, "word").splitlines() if "/python/" in line]
    assert bound == [
        ["/run/iodiff/python/0", "/usr/lib/python"],
        ["/run/iodiff/python/1", "/some/venv"],
    ]


def test_odd_names_survive_the_shell(plan: GuestPlan, tmp_path: Path) -> None:
    odd = tmp_path / "it's a kernel"
    odd_kernel = replace(plan, kernel=replace(plan.kernel, modules=odd))
    text = script(odd_kernel, "word").replace("/run/iodiff/bin/modprobe", str(tmp_path / "modprobe"))
    begin, end = text.index("printf %s"), text.index("chmod")
    subprocess.run(["sh", "-c", text[begin:end]], check=True)
    subprocess.run(["sh", "-n", tmp_path / "modprobe"], check=True)
    assert shlex.split((tmp_path / "modprobe").read_text().splitlines()[1])[3] == str(odd)
