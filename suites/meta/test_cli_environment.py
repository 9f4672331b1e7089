# SPDX-License-Identifier: GPL-2.0-or-later
"""An environment that cannot do what is asked: one line that says what to do, and nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

import loopdevs.leftovers
from harness.errors import EXIT_OK, EXIT_USAGE
from suites.meta import commands
from suites.meta.commands import complaint, iodiff
from suites.meta.simulated import write_bundle

NOBODY = "65534"
CASE = "extent_state/punch-hole"
FILLING_CASE = "extent_state/many-states"
"""Writes more than a small file system holds."""

# The least space that a run begins with is lowered, so that it can run out of it in the test.
UNCHECKED = """
import harness.doctor.checks, harness.run.run
harness.doctor.checks.MINIMUM_FREE_BYTES = harness.run.run.MINIMUM_WORK_BYTES = 0
from harness.cli import main
main()
"""

Mount = Callable[[str, str], Path]


@pytest.fixture
def mount_tmpfs(tmp_path: Path) -> Iterator[Mount]:
    """Mounts small file systems in memory below the test's folder."""
    mounted: list[Path] = []

    def mount(name: str, options: str) -> Path:
        point = tmp_path / name
        point.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "iodiff-test", point], check=True)
        mounted.append(point)
        return point

    yield mount
    for point in mounted:
        subprocess.run(["umount", point], check=True)


def run(folder: Path, *arguments: str | Path, **more: Any) -> str:
    """Run a case that must be refused, and return why; nothing may be left in `folder`."""
    before = sorted(folder.rglob("*"))
    options: list[str | Path] = [] if "--work" in arguments else ["--work", folder / "work"]
    options += [] if "--out" in arguments else ["--out", folder / "out"]
    said = complaint(iodiff("run", *arguments, *options, **more))
    assert sorted(folder.rglob("*")) == before
    assert loopdevs.leftovers.kernel_leftovers(folder / "work") == []
    return said


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder with the tools that a run needs, in place of all others."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("fio", "btrfs", "mkfs.btrfs", "clang", "mount", "sh"):
        if found := shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin"):
            (folder / name).symlink_to(found)
    return folder


def replace(tool: Path, says: str) -> None:
    tool.unlink(missing_ok=True)
    tool.write_text(f"#!/bin/sh\necho '{says}'\n")
    tool.chmod(0o755)


def test_fio_missing(tmp_path: Path, tools: Path) -> None:
    (tools / "fio").unlink(missing_ok=True)
    said = run(tmp_path, CASE, env={"PATH": str(tools)})
    assert "fio is not installed: install the package fio" in said


def test_fio_too_old(tmp_path: Path, tools: Path) -> None:
    replace(tools / "fio", "fio-3.1")
    assert "fio-3.1 is too old: install fio 3." in run(tmp_path, CASE, env={"PATH": str(tools)})


@pytest.mark.parametrize("name", ["btrfs", "mkfs.btrfs"])
def test_btrfs_progs_missing(tmp_path: Path, tools: Path, name: str) -> None:
    (tools / name).unlink(missing_ok=True)
    said = run(tmp_path, CASE, env={"PATH": str(tools)})
    assert f"{name} is not installed: install the package btrfs-progs" in said


def test_clang_missing_where_nothing_is_compiled_yet(tmp_path: Path, tools: Path) -> None:
    (tools / "clang").unlink(missing_ok=True)
    environment = {"PATH": str(tools), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    assert "clang is not installed: install the package clang" in run(tmp_path, CASE, env=environment)


def test_everything_that_is_missing_is_said_at_once(tmp_path: Path, tools: Path) -> None:
    replace(tools / "fio", "fio-2.0")
    (tools / "btrfs").unlink(missing_ok=True)
    said = run(tmp_path, CASE, env={"PATH": str(tools)})
    assert "fio-2.0 is too old" in said
    assert "btrfs is not installed" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
class TestWithoutRoot:
    """As a user with neither rights nor a home, who can read whatever Python was installed into."""

    USER = ("setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups")
    READER = ("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search")
    COMMAND = (*USER, *READER, *commands.COMMAND)
    HOME: ClassVar = {"HOME": "/nonexistent"}

    def test_run_on_the_host_says_what_still_works(self, tmp_path: Path) -> None:
        said = run(tmp_path, CASE, "--kernel", "host", env=self.HOME, command=self.COMMAND)
        assert "not root: start `run` as root; doctor, judge, report, list" in said

    def test_judging_and_listing_work(self, tmp_path: Path) -> None:
        write_bundle(tmp_path / "bundle")
        for folder in (tmp_path.parent, tmp_path):
            folder.chmod(0o755)
        assert iodiff("list", env=self.HOME, command=self.COMMAND).returncode == EXIT_OK
        bundle = tmp_path / "bundle"
        done = iodiff("judge", "--no-save", bundle, env=self.HOME, command=self.COMMAND)
        assert (done.returncode, done.stderr) == (EXIT_OK, "")
        done = iodiff("judge", bundle, env=self.HOME, command=self.COMMAND)
        assert done.returncode == EXIT_USAGE
        assert done.stderr == f"iodiff: {bundle}/verdict.json: cannot be written: Permission denied\n"


@pytest.mark.live
def test_too_little_space_at_the_start(tmp_path: Path, mount_tmpfs: Mount) -> None:
    small = mount_tmpfs("small", "size=64m")
    said = run(tmp_path, CASE, "--work", small / "work")
    assert f"0.1 GiB free at {small}, 4 GiB are needed" in said


@pytest.mark.live
@pytest.mark.parametrize("size", ["20m", "24m", "40m"])
def test_the_space_runs_out_in_a_case(tmp_path: Path, mount_tmpfs: Mount, size: str) -> None:
    small = mount_tmpfs("small", f"size={size}")
    command = (sys.executable, "-c", UNCHECKED)
    options: list[str | Path] = ["--work", small / "work", "--out", tmp_path / "out"]
    said = complaint(iodiff("run", FILLING_CASE, *options, command=command))
    assert "MiB free" in said
    assert f"tmpfs at {small}" in said
    assert [path.name for path in tmp_path.rglob("*")] == ["small"]
    assert loopdevs.leftovers.kernel_leftovers(small) == [f"mount {small}"]


@pytest.mark.live
def test_what_was_finished_before_the_space_ran_out_is_kept(tmp_path: Path, mount_tmpfs: Mount) -> None:
    small = mount_tmpfs("small", "size=48m")
    command = (sys.executable, "-c", UNCHECKED)
    options: list[str | Path] = ["--work", small / "work", "--out", tmp_path / "out"]
    done = iodiff("run", "extent_state/direct-over-dirty", FILLING_CASE, *options, command=command)
    assert done.returncode == EXIT_USAGE
    assert done.stderr.startswith(f"iodiff: the space ran out during {FILLING_CASE}, ")
    assert json.loads((tmp_path / "out" / "run.json").read_text())["interrupted"]
    verdicts = {path.name for path in (tmp_path / "out" / "host").iterdir()}
    assert verdicts == {"extent_state-direct-over-dirty"}
    assert (tmp_path / "out" / "report.html").exists()


@pytest.mark.live
def test_no_space_for_results(tmp_path: Path, mount_tmpfs: Mount) -> None:
    small = mount_tmpfs("small", "size=100k")
    assert "no space left in " in run(tmp_path, CASE, "--out", small / "out")


@pytest.mark.live
def test_no_space_for_reports(tmp_path: Path, mount_tmpfs: Mount) -> None:
    small = mount_tmpfs("small", "size=256k")
    done = iodiff("run", CASE, "--work", tmp_path / "work", "--out", small / "out")
    assert done.returncode == EXIT_USAGE
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"iodiff: {small / 'out'}")
    assert not list(small.rglob("*.tmp"))


@pytest.mark.live
@pytest.mark.parametrize("option", ["--work", "--out"])
def test_a_place_that_cannot_be_written(tmp_path: Path, mount_tmpfs: Mount, option: str) -> None:
    place = mount_tmpfs("place", "ro,size=8g")
    assert str(place) in run(tmp_path, CASE, option, place / "x")


def make_a_file(work: Path) -> None:
    work.write_text("mine")


def make_a_link(work: Path) -> None:
    work.with_name("elsewhere").mkdir()
    work.symlink_to("elsewhere")


def fill_it(work: Path) -> None:
    work.mkdir()
    (work / "mine").write_text("mine")


@pytest.mark.live
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (make_a_file, "work is not a directory: give another work directory"),
        (make_a_link, "work is a symbolic link: give the directory itself"),
        (fill_it, "work is not empty and not ours: give another work directory"),
    ],
)
def test_a_work_directory_that_is_none(tmp_path: Path, make: Callable[[Path], None], says: str) -> None:
    make(tmp_path / "work")
    assert says in run(tmp_path, CASE)


@pytest.mark.live
@pytest.mark.parametrize("make", [make_a_file, fill_it])
def test_results_that_are_there_already(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "out")
    assert "out: there is something already: choose another --out" in run(tmp_path, CASE)


@pytest.mark.live
def test_another_run_in_the_same_work_directory(tmp_path: Path) -> None:
    with loopdevs.Workspace.create(tmp_path / "work"):
        assert "work is in use by a run that is alive" in run(tmp_path, CASE)
        done = iodiff("clean", "--work", tmp_path / "work")
        assert "is in use by a run that is alive" in done.stdout
        assert (tmp_path / "work").exists()


@pytest.mark.live
def test_results_of_another_run_are_not_told_as_this_one(tmp_path: Path) -> None:
    write_bundle(tmp_path / "out" / "old")
    (tmp_path / "out" / "run.json").write_text('{"format": 1, "run_id": "old", "cases": []}')
    assert "there is something already" in run(tmp_path, CASE)
