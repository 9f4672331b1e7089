# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import pytest

from harness.errors import UserError
from harness.fiojob import ALLOWED_OPTIONS, FioJob

ORDINARY = """
; a comment
[global]
ioengine=libaio
direct = 1
size=64m

# another
[writer]
rw=randwrite
bssplit=4k/60:64k/40
stonewall
[reader.2]
rw=randread
filename=data/one:two
"""

HOSTILE = [
    "filename=/dev/vda",
    "filename=../outside",
    "filename=data/../../outside",
    "filename=data:/etc/passwd",
    "filename=data/./x",
    "filename=-",
    "filename=",
    "filename=data\\:x",
    "filename=.hidden/../../x",
    "directory=/",
    "filename_format=/etc/x",
    "exec_prerun=reboot",
    "exec_postrun=reboot",
    "ioengine=exec",
    "ioengine=external:/tmp/evil.so",
    "ioengine=/tmp/evil.so",
    "ioengine=sg",
    "ioengine=net",
    "IOENGINE=exec",
    "program=/bin/sh",
    "write_bw_log=/etc/x",
    "write_iolog=/etc/x",
    "read_iolog=/etc/x",
    "replay_redirect=/dev/vda",
    "merge_blktrace_file=/etc/x",
    "aux-path=/etc",
    "opendir=/etc",
    "ioscheduler=none",
    "mem=mmaphuge:/etc/x",
    "iomem=mmap:/etc/x",
    "lockfile=exclusive",
    "cgroup=x",
    "uid=0",
    "profile=tiobench",
    "allow_mounted_write=1",
    "verify_dump=1",
    "verify_state_load=1",
    "buffer_pattern='/etc/shadow'",
    'verify_pattern="x"',
    "size=$(reboot)",
    "size=`reboot`",
    "size=8*$mb_memory",
    "size=${HOME}",
    "bs=4k;reboot",
    "rw=read\\",
    "description=a\tb",
    "include other.fio",
    "@other",
    "name=x",
]


def test_an_ordinary_job_file_is_read_and_written_back() -> None:
    job = FioJob.parse(ORDINARY, "mine")
    assert job.options == {"ioengine": "libaio", "direct": "1", "size": "64m"}
    assert job.sections["writer"] == {"rw": "randwrite", "bssplit": "4k/60:64k/40", "stonewall": None}
    assert FioJob.parse(job.render(), "mine") == job


def test_rendered_as_fio_reads_it() -> None:
    job = FioJob("j", {"w": {"rw": "write", "thread": None}}, {"iodepth": 8})
    assert job.render() == "[global]\niodepth=8\n\n[w]\nrw=write\nthread\n"


@pytest.mark.parametrize("line", HOSTILE)
def test_a_line_that_could_leave_the_directory_is_refused_by_its_number(line: str) -> None:
    with pytest.raises(UserError, match=r"^line 3: ") as refusal:
        FioJob.parse(f"[w]\nrw=read\n{line}\n")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("line", [line for line in HOSTILE if "=" in line])
def test_what_is_refused_in_a_file_is_refused_from_code(line: str) -> None:
    key, _, value = line.partition("=")
    with pytest.raises(UserError, match="fio job j, section"):
        FioJob("j", {"w": {key: value}})
    with pytest.raises(UserError, match=r"section \[global\]"):
        FioJob("j", {"w": {}}, {key: value})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rw=read\n", "line 1: .*before any section"),
        ("[w]\n[w]\n", "line 2: section \\[w\\] comes twice"),
        ("[w\n", "line 1: .*is not a section"),
        ("[../w]\n", "line 1: .*is not a section"),
        ("[a/b]\n", "line 1: .*is not a section"),
        ("[w]\nrw=read\n\nrw=write\n", "line 4: option 'rw' comes twice"),
        ("", "no section"),
        ("[global]\nrw=read\n", "no section"),
    ],
)
def test_a_malformed_file_is_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        FioJob.parse(text)


@pytest.mark.parametrize("name", ["", "a/b", "../x", ".x", "a b", "x\ny"])
def test_names_cannot_be_paths(name: str) -> None:
    with pytest.raises(UserError, match="job name"):
        FioJob(name, {"w": {}})
    with pytest.raises(UserError, match="section name"):
        FioJob("j", {name: {}})


def test_a_value_cannot_start_a_new_line() -> None:
    with pytest.raises(UserError, match="characters"):
        FioJob("j", {"w": {"rw": "read\nexec_prerun=reboot"}})


def test_no_allowed_option_takes_a_path_or_a_command() -> None:
    suspicious = ("exec", "_log", "path", "directory", "cgroup", "mem", "dump", "state", "replay")
    found = {o for o in ALLOWED_OPTIONS if any(word in o for word in suspicious)}
    assert found == {"error_dump"}, "which only says whether fio prints the errors that it goes on after"
