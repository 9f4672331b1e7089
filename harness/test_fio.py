# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness import fileops
from harness.errors import InfrastructureError, UserError
from harness.fio import FioResult, fio_version, run_fio
from harness.fiojob import FioJob, Options

needs_fio = pytest.mark.skipif(
    shutil.which("fio") is None, reason="fio is not installed: apt-get install fio"
)


def put_fio_in_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    fake = tmp_path / "bin" / "fio"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")


def run(tmp_path: Path, options: Options, timeout_s: float = 60, **more: Options) -> FioResult:
    files = tmp_path / "files"
    files.mkdir(exist_ok=True)
    job = FioJob("job", {"w": options, **more}, {"ioengine": "psync"})
    return run_fio(job, files, tmp_path / "job.json", timeout_s=timeout_s)


def test_version_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_fio_in_path(tmp_path, monkeypatch, "echo fio-3.36-17-gb3f5")
    assert fio_version() == (3, 36)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo fio-3.27", "fio-3.27 is too old, 3.28 is needed: .*apt-get"),
        ("echo fio-2.99", "too old"),
        ("echo gibberish", "cannot be compared"),
        ("exit 127", "does not run"),
    ],
)
def test_an_unusable_fio_is_one_line_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    put_fio_in_path(tmp_path, monkeypatch, script)
    with pytest.raises(UserError, match=message):
        fio_version()


def test_a_missing_fio_is_one_line_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="apt-get install fio"):
        fio_version()
    with pytest.raises(UserError, match="is missing"):
        run(tmp_path, {"rw": "write", "size": "4k"})


@needs_fio
def test_figures_are_typed_and_files_stay_in_the_directory(tmp_path: Path) -> None:
    result = run(tmp_path, {"rw": "randwrite", "bs": "4k", "size": "1m"}, r={"rw": "read", "size": "64k"})
    write, read = result.jobs
    assert (write.name, write.write.io_bytes, write.read.io_bytes, write.error) == ("w", 1 << 20, 0, 0)
    assert read.read.io_bytes == 64 << 10
    assert write.write.clat_p50_ns is not None
    assert write.write.clat_p99_ns is not None
    assert write.write.clat_p50_ns <= write.write.clat_p99_ns
    assert write.read.clat_p99_ns is None
    assert result.raw["jobs"][0]["jobname"] == "w"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["files", "job.fio", "job.json"]
    assert "w.0.0" in {p.name for p in (tmp_path / "files").iterdir()}


@needs_fio
def test_a_job_that_fio_refuses_is_the_users(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"fio refused job job: .*rw=bogus"):
        run(tmp_path, {"rw": "bogus", "size": "4k"})


@needs_fio
def test_a_job_that_breaks_off_is_lost_infrastructure(tmp_path: Path) -> None:
    (tmp_path / "files" / "taken").mkdir(parents=True)
    with pytest.raises(InfrastructureError, match=r"fio job job, \[w\]: Is a directory"):
        run(tmp_path, {"rw": "write", "size": "4k", "filename": "taken"})


@needs_fio
def test_wrong_data_is_a_mismatch_of_the_kernel_under_test(tmp_path: Path) -> None:
    writer: dict[str, str | int | None] = {
        "rw": "write",
        "size": "64k",
        "verify": "crc32c",
        "filename": "data",
    }
    run(tmp_path, writer)
    fileops.write(tmp_path / "files" / "data", 8192 + 100, 1, seed=7)
    with pytest.raises(fileops.DataMismatchError, match="verification found wrong data"):
        run(tmp_path, {**writer, "verify_only": None})


FAILED_SYNC = "fio: io_u error on file f: Input/output error: {} offset=4096, buflen=0"
STALE = "pages were stale"


def run_with_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, messages: list[str], counted: int, explained: str | None
) -> FioResult:
    """Run a fio that goes on after errors: it reports `messages`, and `counted` errors in one job."""
    nothing = {"io_bytes": 0, "bw_bytes": 0, "iops": 0.0, "runtime": 0}
    job = {
        "jobname": "w",
        "error": 5,
        "total_err": counted,
        **dict.fromkeys(("read", "write", "trim"), nothing),
    }
    (tmp_path / "report").write_text(json.dumps({"fio version": "fio-3.33", "jobs": [job]}))
    (tmp_path / "messages").write_text("\n".join(messages))
    copy = f'--output=*) cat {tmp_path}/report > "${{a#*=}}"'
    put_fio_in_path(
        tmp_path, monkeypatch, f"cat {tmp_path}/messages >&2; for a; do case $a in {copy};; esac; done"
    )
    return run_fio(
        FioJob("job", {"w": {}}),
        tmp_path,
        tmp_path / "job.json",
        timeout_s=60,
        explain_failed_sync=lambda: explained,
    )


def test_failed_syncs_that_are_explained_are_let_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = [FAILED_SYNC.format(call) for call in ("sync", "datasync", "sync_file_range")]
    result = run_with_errors(tmp_path, monkeypatch, messages, 3, STALE)
    assert result.remark == f"3 times EIO from fsync: {STALE}"


@pytest.mark.parametrize(
    ("messages", "counted", "explained"),
    [
        ([FAILED_SYNC.format("sync")], 1, None),
        ([FAILED_SYNC.format("sync")], 2, STALE),
        ([FAILED_SYNC.format("sync"), FAILED_SYNC.format("write")], 2, STALE),
        ([FAILED_SYNC.format("read")], 1, STALE),
        ([FAILED_SYNC.format("sync").replace("Input/output error", "No space left on device")], 1, STALE),
        ([], 1, STALE),
    ],
)
def test_other_errors_are_not(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    messages: list[str],
    counted: int,
    explained: str | None,
) -> None:
    with pytest.raises(InfrastructureError, match=r"fio job job, \[w\]: Input/output error"):
        run_with_errors(tmp_path, monkeypatch, messages, counted, explained)


@needs_fio
def test_a_job_that_does_not_end_is_ended(tmp_path: Path) -> None:
    started: list[int] = []
    options: Options = {"rw": "write", "size": "1m", "time_based": None, "runtime": 600, "rate_iops": 10}
    job = FioJob("slow", {"w": {**options, "numjobs": 2}})
    with pytest.raises(InfrastructureError, match="not done after 1 s"):
        run_fio(job, tmp_path, tmp_path / "slow.json", timeout_s=1, on_start=started.append)
    assert not Path(f"/proc/{started[0]}").exists()


def test_a_fio_deaf_to_termination_is_killed_with_its_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As fio's jobs do, the child leaves the process group.
    child = tmp_path / "child"
    script = (
        f"trap '' TERM\nsetsid sleep 600 2>/dev/null & echo $! > {child}.new; mv {child}.new {child}\nwait"
    )
    put_fio_in_path(tmp_path, monkeypatch, script)
    monkeypatch.setattr("harness.fio._GRACE_S", 0.5)
    with pytest.raises(InfrastructureError, match="not done"):
        run(tmp_path, {"rw": "read"}, timeout_s=3)
    pid = int(child.read_text())
    # A signal that cannot be refused still takes until the process runs.
    give_up = time.monotonic() + 20
    while is_running(pid) and time.monotonic() < give_up:
        time.sleep(0.02)
    assert not is_running(pid)


def is_running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return status not in "ZX"


def test_fio_is_ended_when_the_harness_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_fio_in_path(tmp_path, monkeypatch, "exec sleep 600")
    started: list[int] = []

    def interrupt(pid: int) -> None:
        started.append(pid)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_fio(FioJob("j", {"w": {}}), tmp_path, tmp_path / "j.json", timeout_s=60, on_start=interrupt)
    assert not is_running(started[0])


def test_fio_ends_with_a_harness_that_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    put_fio_in_path(tmp_path, monkeypatch, f"echo $$ > {ready}; exec sleep 600")
    program = (
        "import sys; from pathlib import Path; from harness.fio import FioJob, run_fio;"
        "d = Path(sys.argv[1]); run_fio(FioJob('j', {'w': {}}), d, d / 'j.json', timeout_s=600)"
    )
    root = Path(__file__).parent.parent
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], cwd=root) as harness:
        fio = os.pidfd_open(int(ready.read_text()))
        harness.kill()
    ended, _, _ = select.select([fio], [], [], 60)
    os.close(fio)
    assert ended


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("kill -SEGV $$", "died: SIGSEGV"),
        ("""for a; do case $a in --output=*) echo '{"jobs": [' > "${a#*=}";; esac; done""", "cannot be read"),
    ],
)
def test_a_fio_that_dies_is_lost_infrastructure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    put_fio_in_path(tmp_path, monkeypatch, script)
    with pytest.raises(InfrastructureError, match=message):
        run(tmp_path, {"rw": "read"})
