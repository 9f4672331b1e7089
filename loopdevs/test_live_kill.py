# SPDX-License-Identifier: GPL-2.0-or-later
"""SIGKILL at any moment of a run, then clean: nothing is left.

The moments are counted, not timed: a run is killed at its n-th call into the kernel or return from one of our
functions, for n spread over the whole life of a run, undoing included.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from loopdevs import CleanReport, clean
from loopdevs.journal import JOURNAL_FILE, TracingEntry, parse_journal
from loopdevs.leftovers import kernel_leftovers, tracing_instances

pytestmark = pytest.mark.live

MOMENTS = 30

RUN = """
import os, sys
from pathlib import Path
from loopdevs import *

directory, moment = Path(sys.argv[1]), int(sys.argv[2])
kernel = {{"posix", "fcntl", "_posixsubprocess", "_io"}}
count = 0

def tick(frame, event, argument):
    global count
    if event in ("c_call", "c_return"):
        counts = argument.__module__ in kernel
    else:
        counts = "loopdevs" in frame.f_code.co_filename
    count += counts
    if counts and count == moment:
        os.kill(os.getpid(), 9)

sys.setprofile(tick)
with Workspace.create(directory) as workspace:
{body}sys.setprofile(None)
print(count)
"""

BODY = """
    fs = workspace.btrfs(BtrfsLayout(devices=2, size_bytes=1 << 28, data="raid1", metadata="raid1"))
    fs.mount()
    (fs.mountpoint / "file").write_bytes(bytes(1 << 20))
    workspace.tracing()
    workspace.start(["sleep", "1000"], cwd=fs.mountpoint)
    workspace.path("private").mkdir()
    fs2 = workspace.btrfs(BtrfsLayout())
    fs2.destroy()
"""


def run(directory: Path, body: str, moment: int) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", RUN.format(body=body), str(directory), str(moment)]
    return subprocess.run(command, env=environment, text=True, check=False, stdout=subprocess.PIPE)


def whole_length(directory: Path, body: str) -> int:
    """Return how many moments a whole run has, give or take those of its waits."""
    done = run(directory, body, -1)
    assert done.returncode == 0
    return int(done.stdout)


def killed_at(directory: Path, body: str, moment: int) -> int:
    """Return the status of a run that is killed at that moment, if it comes to it."""
    return run(directory, body, moment).returncode


@pytest.fixture(scope="module")
def length(tmp_path_factory: pytest.TempPathFactory) -> int:
    return whole_length(tmp_path_factory.mktemp("whole") / "run", BODY)


@pytest.mark.parametrize("part", range(MOMENTS))
def test_killed_at_a_random_moment(tmp_path: Path, length: int, part: int) -> None:
    moment = random.Random(part).randrange(length * part // MOMENTS, length * (part + 1) // MOMENTS) + 1
    status = killed_at(tmp_path / "run", BODY, moment)
    # Waits are counted too, and may be shorter than in the whole run: then the last moments do not come.
    assert status == -9 or (status == 0 and part > MOMENTS // 2)
    instances = journaled_instances(tmp_path)
    report = clean(tmp_path)
    assert report.failed == ()
    assert report.skipped == ()
    assert kernel_leftovers(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
    assert not instances & tracing_instances()
    assert clean(tmp_path) == CleanReport()


def journaled_instances(root: Path) -> set[str]:
    texts = [journal.read_text() for journal in root.glob(f"*/{JOURNAL_FILE}")]
    entries = [entry for text in texts for entry in parse_journal(text)[0]]
    return {entry.name for entry in entries if isinstance(entry, TracingEntry)}
