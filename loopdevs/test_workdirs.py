# SPDX-License-Identifier: GPL-2.0-or-later
"""Work directories without devices: claiming, refusing, closing, cleaning. No root needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from loopdevs import (
    CleanReport,
    LoopdevsError,
    NotOursError,
    Workspace,
    clean,
    directories,
    process_start_time,
)
from loopdevs.journal import JOURNAL_FILE
from loopdevs.marker import MARKER_FILE, Marker

# A run that makes a file and is killed.
KILLED_RUN = """
import os, sys
from pathlib import Path
from loopdevs import Workspace
workspace = Workspace.create(Path(sys.argv[1]))
workspace.path("private").write_text("x")
{}
os.kill(os.getpid(), 9)
"""


def kill_a_run(directory: Path, more: str = "") -> None:
    script = KILLED_RUN.format(more)
    # The pipe is at its end when the run, and all that it started, has closed it or is gone.
    done = subprocess.run([sys.executable, "-c", script, directory], check=False, env=_with_path())
    assert done.returncode == -9


def forge(directory: Path, *lines: dict[str, object]) -> None:
    """Make what looks like the work directory of a dead run, with a journal of our choice."""
    directory.mkdir()
    marker = asdict(Marker.of_this_process(created=True)) | {"pid": 2**22 + 1}
    (directory / MARKER_FILE).write_text(json.dumps(marker))
    (directory / JOURNAL_FILE).write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_new_directory_comes_and_goes(tmp_path: Path) -> None:
    root = tmp_path / "root"
    with Workspace.create(root / "run") as workspace:
        assert workspace.directory == root / "run"
        private = workspace.path("private")
        private.mkdir()
        (private / "link").symlink_to(tmp_path)
        assert workspace.path("private") == private
    assert list(root.iterdir()) == []


def test_an_empty_directory_is_taken_and_stays(tmp_path: Path) -> None:
    with Workspace.create(tmp_path) as workspace:
        workspace.path("file").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_closing_twice_does_nothing(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "run")
    workspace.close()
    assert workspace.close() == CleanReport()


def test_directories_that_are_not_to_be_had(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    for name, message in (("file", "not a directory"), ("full", "not ours"), ("link", "symbolic link")):
        with pytest.raises(LoopdevsError, match=message):
            Workspace.create(tmp_path / name)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["empty", "file", "full", "link", "thesis.tex"]


def test_a_second_run_in_the_same_directory(tmp_path: Path) -> None:
    with (
        Workspace.create(tmp_path / "run"),
        pytest.raises(LoopdevsError, match="in use by a run that is alive"),
    ):
        Workspace.create(tmp_path / "run")
    kill_a_run(tmp_path / "run")
    with pytest.raises(LoopdevsError, match="clean it first"):
        Workspace.create(tmp_path / "run")


def test_too_little_space_names_the_figures(tmp_path: Path) -> None:
    with pytest.raises(LoopdevsError, match=r"MiB free, 1,073,741,824\.0 MiB are needed"):
        Workspace.create(tmp_path / "run", minimum_bytes=2**50)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "/etc", MARKER_FILE, JOURNAL_FILE, "btrfs-0", "loop-1", "tracing"]
)
def test_names_that_are_taken(tmp_path: Path, name: str) -> None:
    with Workspace.create(tmp_path) as workspace, pytest.raises(LoopdevsError, match="name"):
        workspace.path(name)


def test_a_stranger_in_the_directory_is_kept(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "run")
    stranger = tmp_path / "run" / "thesis.tex"
    stranger.touch()
    with pytest.raises(LoopdevsError, match=r"thesis\.tex in it is not of this run"):
        workspace.close()
    assert clean(tmp_path).failed
    assert stranger.exists()
    stranger.unlink()
    assert clean(tmp_path).complete
    assert list(tmp_path.iterdir()) == []


def test_clean_after_a_kill_and_again(tmp_path: Path) -> None:
    kill_a_run(tmp_path / "run")
    report = clean(tmp_path)
    assert report.complete
    assert any("private" in line for line in report.undone)
    assert list(tmp_path.iterdir()) == []
    assert clean(tmp_path) == CleanReport()
    assert clean(tmp_path, tmp_path / "run") == CleanReport()


def test_clean_leaves_live_runs_and_strangers_alone(tmp_path: Path) -> None:
    (tmp_path / "stranger").mkdir()
    with Workspace.create(tmp_path / "run") as workspace:
        private = workspace.path("private")
        private.touch()
        report = clean(tmp_path)
        assert report.undone == ()
        assert "run is in use" in report.skipped[0]
        assert private.exists()
    assert (tmp_path / "stranger").is_dir()
    with pytest.raises(NotOursError, match="not a work directory"):
        clean(tmp_path, tmp_path / "stranger")


def test_clean_refuses_a_link_to_a_work_directory(tmp_path: Path) -> None:
    kill_a_run(tmp_path / "run")
    (tmp_path / "link").symlink_to("run")
    with pytest.raises(LoopdevsError, match="symbolic link"):
        clean(tmp_path, tmp_path / "link")
    assert (tmp_path / "run" / "private").exists()


def test_a_tool_that_outlives_its_run_holds_the_lock(tmp_path: Path) -> None:
    more = "import subprocess; subprocess.Popen(['sleep', '1000'], pass_fds=[workspace._ledger._lock])"
    kill_a_run(tmp_path / "run", more)
    report = clean(tmp_path, deadline_s=0.05)
    assert "run is dead, but the lock is held by sleep (pid " in report.failed[0]
    assert (tmp_path / "run" / "private").exists()
    os.kill(int(report.failed[0].split("(pid ")[1].split(")")[0]), 9)
    assert clean(tmp_path).complete


def test_a_tool_is_recorded_before_it_runs(tmp_path: Path) -> None:
    with Workspace.create(tmp_path / "run") as workspace:
        out = workspace.path("out")
        with out.open("wb") as stdout:
            tool = workspace.start(["cat", workspace.directory / JOURNAL_FILE], stdout=stdout)
            assert tool.wait() == 0
        assert f'"process", "pid": {tool.pid}' in out.read_text()
        sleeper = workspace.start(["sleep", "1000"])
    assert sleeper.wait() == -9


def test_a_group_of_others_is_not_recorded(tmp_path: Path) -> None:
    with Workspace.create(tmp_path) as workspace, pytest.raises(LoopdevsError, match="new session"):
        workspace.process_group(os.getpid(), 0)


@pytest.mark.parametrize("name", ["/etc/victim", "{victim}", "../victim", "link/victim", "a/../../victim"])
@pytest.mark.parametrize("kind", ["file", "directory", "loop", "btrfs-scan", "mount"])
def test_an_edited_journal_reaches_nothing_outside(tmp_path: Path, kind: str, name: str) -> None:
    victim = tmp_path / "victim"
    victim.mkdir() if kind == "directory" else victim.touch()
    more = {"device": victim.stat().st_dev, "inode": victim.stat().st_ino} if kind == "loop" else {}
    forge(tmp_path / "run", {"kind": kind, "name": name.format(victim=victim), **more})
    (tmp_path / "run" / "link").symlink_to(tmp_path)
    report = clean(tmp_path)
    assert "left alone" in report.failed[0]
    assert victim.exists()
    assert (tmp_path / "run" / JOURNAL_FILE).exists()


def test_a_link_in_place_of_a_file_goes_but_not_its_target(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "thesis.tex").touch()
    forge(tmp_path / "run", {"kind": "file", "name": "link"})
    (tmp_path / "run" / "link").symlink_to(victim)
    assert clean(tmp_path).complete
    assert (victim / "thesis.tex").exists()


def test_an_edited_journal_names_other_processes_and_instances(tmp_path: Path) -> None:
    other = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    try:
        forge(
            tmp_path / "run",
            {"kind": "process", "pid": 1, "start_time": 2**62},
            {"kind": "process", "pid": other.pid, "start_time": 0},
            {"kind": "tracing-instance", "name": "../somebody"},
            {"kind": "tracing-instance", "name": "iodiff-0123456789abcdef-0"},
        )
        report = clean(tmp_path)
        assert report.undone == ()
        assert len([line for line in report.failed if "is not of this run" in line]) == 2
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_process_older_than_the_run_is_not_of_it(tmp_path: Path) -> None:
    other = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    try:
        began = process_start_time(other.pid)
        forge(tmp_path / "run", {"kind": "process", "pid": other.pid, "start_time": began})
        marker = json.loads((tmp_path / "run" / MARKER_FILE).read_text()) | {"start_time": began + 1}
        (tmp_path / "run" / MARKER_FILE).write_text(json.dumps(marker))
        assert not any("killed" in line for line in clean(tmp_path).undone)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_kill_while_giving_up_leaves_no_unmarked_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: Path) -> None:
        raise KeyboardInterrupt

    workspace = Workspace.create(tmp_path / "run")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rmdir", killed)
        with pytest.raises(KeyboardInterrupt):
            workspace.close()
    (left,) = tmp_path.iterdir()
    assert directories.is_aside(left)


def test_damaged_markers(tmp_path: Path) -> None:
    forge(tmp_path / "run", {"kind": "file", "name": "precious"})
    (tmp_path / "run" / "precious").touch()
    (tmp_path / "run" / MARKER_FILE).write_text('{"token": 5}')
    assert "marker is damaged" in clean(tmp_path).failed[0]
    assert (tmp_path / "run" / "precious").exists()
    # Killed while the marker was being written into a directory that was there before.
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / MARKER_FILE).touch()
    assert clean(tmp_path, tmp_path / "taken").complete
    assert list((tmp_path / "taken").iterdir()) == []


def test_a_directory_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kill_a_run(tmp_path / "run")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(NotOursError, match="another user"):
        clean(tmp_path, tmp_path / "run")
    assert (tmp_path / "run" / "private").exists()


def test_asides_of_dead_processes_only(tmp_path: Path) -> None:
    alive = directories._new_aside(tmp_path / "run")
    alive.mkdir()
    dead = tmp_path / f".iodiff-aside-{2**22 + 1}-5-00ff"
    dead.mkdir()
    assert clean(tmp_path).undone == (f"removed {dead}",)
    assert list(tmp_path.iterdir()) == [alive]


def _with_path() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
