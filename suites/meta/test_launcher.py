# SPDX-License-Identifier: GPL-2.0-or-later
"""The launcher with a Python that only pretends: no network, no root, nothing installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.errors import EXIT_USAGE
from suites.meta.tree import ROOT

NEEDED = ("cat", "chmod", "cmp", "cp", "flock", "grep", "mkdir", "readlink", "rm", "sh", "sort")
SYSTEM_PYTHON = "/usr/bin/python3"

# Answers as the launcher's four uses of Python expect; what it was asked is in the log.
PYTHON = """#!/bin/sh
case "$*" in
-I*) echo find >>"$LOG"; echo "$SELF" ;;
*venv*) echo venv >>"$LOG"; for folder; do :; done
	mkdir -p "$folder/bin"; rm -f "$folder/bin/python"; cp "$SELF" "$folder/bin/python" ;;
*pip*) echo pip >>"$LOG"; sh -c "$DURING_PIP" ;;
*) echo "run $*" >>"$LOG"; echo "cwd $PWD"; echo "path $PYTHONPATH" ;;
esac
"""


class Clone:
    """A clone with the launcher and a lock file, and a machine with little else than a fake Python."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a clone"
        self.bin = folder / "bin"
        self.log = folder / "log"
        self.root.mkdir()
        self.bin.mkdir()
        text = (ROOT / "iodiff").read_text()
        assert SYSTEM_PYTHON in text
        self.script("iodiff", text.replace(SYSTEM_PYTHON, "no-such-python"), self.root)
        self.lock("one==1\n")
        self.script("python3", PYTHON)
        self.script("id", "#!/bin/sh\necho 1000\n")
        for name in NEEDED:
            found = shutil.which(name)
            assert found
            (self.bin / name).symlink_to(found)

    def script(self, name: str, text: str, folder: Path | None = None) -> None:
        path = (folder or self.bin) / name
        path.write_text(text)
        path.chmod(0o755)

    def lock(self, text: str) -> None:
        (self.root / "requirements.lock").write_text(text)

    def popen(
        self, *arguments: str, launcher: Path | None = None, during_pip: str = "", cwd: Path | None = None
    ) -> subprocess.Popen[str]:
        environment = {
            "PATH": str(self.bin),
            "LOG": str(self.log),
            "SELF": str(self.bin / "python3"),
            "DURING_PIP": during_pip,
            "HOME": str(self.root),
        }
        return subprocess.Popen(
            ["/bin/sh", str(launcher or self.root / "iodiff"), *arguments],
            env=environment,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def start(self, *arguments: str, during_pip: str = "") -> tuple[int, str]:
        """Start it and return its exit code and what it said."""
        process = self.popen(*arguments, during_pip=during_pip)
        _, said = process.communicate(timeout=60)
        return process.returncode, said

    def asked(self) -> list[str]:
        """Return what Python was asked since the last call."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return lines


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


def test_the_first_start_sets_up_and_the_second_does_not(clone: Clone) -> None:
    assert clone.start("list")[0] == 0
    assert clone.asked() == ["find", "venv", "pip", "run -m harness list"]
    assert clone.start("list") == (0, "")
    assert clone.asked() == ["run -m harness list"]


def test_arguments_and_directory_are_kept(clone: Clone, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(clone.root / "iodiff")
    clone.start("list")
    clone.asked()
    process = clone.popen("judge", "a b", "*", launcher=link, cwd=tmp_path)
    output, _ = process.communicate(timeout=60)
    assert output.splitlines() == [f"cwd {tmp_path}", f"path {clone.root}"]
    assert clone.asked() == ["run -m harness judge a b *"]


def test_another_lock_file_sets_up_again(clone: Clone) -> None:
    clone.start()
    clone.asked()
    clone.lock("one==2\n")
    assert clone.start()[0] == 0
    assert "pip" in clone.asked()


def test_a_broken_environment_is_made_again(clone: Clone) -> None:
    clone.start()
    clone.asked()
    python = clone.root / ".venv/bin/python"
    python.unlink()
    python.symlink_to("gone")
    assert clone.start()[0] == 0
    assert "venv" in clone.asked()


def test_a_failed_installation_is_one_line_and_tried_again(clone: Clone) -> None:
    code, said = clone.start(during_pip="echo WARNING: noise; echo ERROR: no network; exit 1")
    assert code == EXIT_USAGE
    assert "ERROR: no network\niodiff: the Python packages could not be installed" in said
    assert "noise" not in said
    assert "run -m harness" not in clone.asked()
    assert clone.start()[0] == 0
    assert clone.asked()[-1] == "run -m harness"


def test_a_killed_set_up_is_done_again(clone: Clone) -> None:
    # The shell's parent is the pretended pip, and its parent the launcher.
    kill = "read -r _ _ _ launcher _ </proc/$PPID/stat; kill -9 $launcher"
    code, _ = clone.start(during_pip=kill)
    assert code == -9
    assert clone.asked() == ["find", "venv", "pip"]
    assert clone.start()[0] == 0
    assert clone.asked() == ["find", "venv", "pip", "run -m harness"]


def test_two_starts_at_once_set_up_once(clone: Clone, tmp_path: Path) -> None:
    gate, there = tmp_path / "gate", tmp_path / "there"
    os.mkfifo(gate)
    os.mkfifo(there)
    first = clone.popen("first", during_pip=f"echo >'{there}'; cat '{gate}'")
    there.read_text()
    second = clone.popen("second")
    assert second.stderr
    assert "waiting for another start" in second.stderr.readline()
    gate.write_text("")
    assert (first.wait(60), second.wait(60)) == (0, 0)
    for process in (first, second):
        process.communicate()
    assert sorted(clone.asked()) == ["find", "pip", "run -m harness first", "run -m harness second", "venv"]


def test_missing_tools_are_named_and_stop_nothing(clone: Clone) -> None:
    code, said = clone.start("judge")
    assert code == 0
    (line,) = [line for line in said.splitlines() if "to record on this machine" in line]
    assert {"clang", "fio"} <= set(line.split())


def test_an_old_python_is_one_line(clone: Clone) -> None:
    clone.script("python3", "#!/bin/sh\ncase $1 in --version) echo Python 3.9.2 ;; *) exit 1 ;; esac\n")
    code, said = clone.start("list")
    assert code == EXIT_USAGE
    assert said.startswith("iodiff: Python 3.11 or newer with venv is needed (here: Python 3.9.2): ")
    assert said.count("\n") == 1


def test_a_clone_that_cannot_be_written_is_one_line(clone: Clone) -> None:
    # Root may write anywhere: to the shell's test, an unwritable folder is one that is not there.
    text = (clone.root / "iodiff").read_text()
    clone.script("iodiff", text.replace('[ -w "$root" ]', '[ -w "$root/nowhere" ]'), clone.root)
    code, said = clone.start("list")
    assert code == EXIT_USAGE
    assert said.endswith("cannot be written by you: clone it to a place of your own\n")
    assert said.count("\n") == 1
