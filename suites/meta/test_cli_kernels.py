# SPDX-License-Identifier: GPL-2.0-or-later
"""`iodiff kernels`: what it lists for people and for programs, and its refusals."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from harness.errors import EXIT_OK
from harness.kernels import catalogue
from harness.kernels.testing import FAKE_DEPMOD, tool, unpacked
from suites.meta.commands import complaint, iodiff

RELEASE = "6.12.1-test"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    tool(tmp_path / "bin", "depmod", FAKE_DEPMOD)
    return {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}


def test_a_kernel_comes_is_listed_and_goes(tmp_path: Path, env: dict[str, str]) -> None:
    image = unpacked(tmp_path / "x", RELEASE)
    fetched = iodiff("kernels", "fetch", image, env=env)
    assert (fetched.returncode, fetched.stdout) == (EXIT_OK, f"{image}: indexing the modules of {RELEASE}\n")
    rows = json.loads(iodiff("kernels", "list", "--json", env=env).stdout)
    assert [row["name"] for row in rows] == [*catalogue(), str(image)]
    assert (rows[0]["state"], rows[0]["release"]) == ("running", os.uname().release)
    assert {row["state"] for row in rows[1:-1]} == {"not fetched"}
    assert (rows[-1]["state"], rows[-1]["release"]) == ("fetched", RELEASE)
    assert Path(rows[-1]["path"], "kernel.json").exists()
    lines = iodiff("kernels", "list", env=env).stdout.splitlines()
    assert [line.split()[0] for line in lines] == [*catalogue(), str(image)]
    removed = iodiff("kernels", "remove", image, env=env)
    assert (removed.returncode, removed.stdout) == (EXIT_OK, f"removed {image}: {RELEASE}, 0 MiB\n")
    assert len(json.loads(iodiff("kernels", "list", "--json", env=env).stdout)) == len(catalogue())


@pytest.mark.boots
@pytest.mark.parametrize(
    ("lost", "options", "lacks"),
    [
        ("btrfs", (), "btrfs"),
        ("virtio_blk", ("--guest-devices", "drives"), "virtio_blk, which virtio drives need"),
    ],
)
def test_a_kernel_that_lacks_a_module_is_one_line_and_leaves_nothing(
    tmp_path: Path, env: dict[str, str], lost: str, options: tuple[str, ...], lacks: str
) -> None:
    image = unpacked(tmp_path / "x", RELEASE)
    files = tmp_path / "x/lib/modules" / RELEASE / "kernel/fs"
    (files / "virtio_blk.ko").touch()
    (files / f"{lost}.ko").unlink()
    iodiff("kernels", "fetch", image, env=env)
    done = iodiff("run", "--kernel", image, *options, "--work", tmp_path / "work", cwd=tmp_path, env=env)
    assert complaint(done).startswith(f"{image} has no module {lacks}: give a kernel that has")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "cache", "x"]


@pytest.mark.parametrize("command", ["fetch", "remove"])
def test_an_unknown_kernel_is_one_line(env: dict[str, str], command: str) -> None:
    said = complaint(iodiff("kernels", command, "debian:6.11", env=env))
    says = {"fetch": "unknown kernel 'debian:6.11'", "remove": "no kernel debian:6.11"}
    assert said.startswith(says[command])


@pytest.mark.parametrize("command", ["list", "fetch", "remove"])
def test_every_command_explains_itself(command: str) -> None:
    done = iodiff("kernels", command, "--help")
    assert (done.returncode, done.stderr) == (EXIT_OK, "")
    assert f"Usage: iodiff kernels {command} " in done.stdout
