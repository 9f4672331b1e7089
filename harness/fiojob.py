# SPDX-License-Identifier: GPL-2.0-or-later
"""fio job files: built from code or read from a user, and kept inside one directory.

iodiff runs as root, and a job file can run commands, load plug-ins and write to any device. So options
are allowed by name, values by character, and the file that fio reads is always rendered here, never the
user's own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.errors import UserError

__all__ = ["ALLOWED_OPTIONS", "ENGINES", "FioJob", "Options"]

Options = Mapping[str, str | int | None]
"""fio options as fio spells them; None is an option without a value (`stonewall`)."""

_ENGINE_NAMES = "sync psync vsync pvsync pvsync2 libaio io_uring posixaio mmap falloc ftruncate splice null"
ENGINES = frozenset(_ENGINE_NAMES.split())
"""Engines that act on the job's own files and on nothing else."""

_OPTION_NAMES = """
    allow_file_create allrandrepeat ba blockalign blocksize bs bs_unaligned bsrange bssplit
    buffer_compress_chunk buffer_compress_percentage buffer_pattern buffered continue_on_error
    cpus_allowed cpus_allowed_policy create_fsync create_on_open create_only create_serialize
    dedupe_percentage description direct do_verify end_fsync error_dump exitall fadvise_hint fallocate
    fdatasync file_append file_service_type filename filesize fill_device fixedbufs force_async fsync
    fsync_on_close group_reporting hipri invalidate io_limit io_size io_submit_mode iodepth
    iodepth_batch iodepth_batch_complete_max iodepth_batch_complete_min iodepth_batch_submit iodepth_low
    ioengine loops max_latency new_group norandommap nowait nrfiles number_ios numjobs offset
    offset_align offset_increment openfiles overwrite percentage_random pre_read ramp_time
    random_distribution random_generator randrepeat randseed rate rate_iops rate_iops_min rate_min
    rate_process readwrite refill_buffers registerfiles runtime rw rw_sequencer rwmixread rwmixwrite
    scramble_buffers serialize_overlap size sqthread_poll startdelay stonewall sync sync_file_range thinktime
    thinktime_blocks thinktime_blocks_type thinktime_spin thread time_based trim_backlog trim_percentage
    unlink unlink_each_loop verify verify_async verify_backlog verify_backlog_batch verify_fatal
    verify_interval verify_offset verify_only verify_pattern wait_for wait_for_previous write_hint
    zero_buffers
"""
ALLOWED_OPTIONS = frozenset(_OPTION_NAMES.split())
"""Options that shape I/O to the job's own files."""

# No `$` (fio hands arithmetic on keywords to a shell), no quotes (a quoted pattern is a file to read),
# no backslash (it would hide a separator), nothing that starts a comment.
_VALUE = re.compile(r"[A-Za-z0-9_.,:%/+*() -]*")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class FioJob:
    """One job file. Building one that could leave its directory raises UserError."""

    name: str
    """Names the job's files in the bundle: letters, digits, dot, dash, underscore."""
    sections: Mapping[str, Options]
    """The jobs by section name, run together unless they say `stonewall`."""
    options: Options = field(default_factory=dict)
    """The `[global]` section."""

    def __post_init__(self) -> None:
        _check_name(self.name, "job")
        if not self.sections:
            raise UserError(f"fio job {self.name}: no section, so nothing to run: add one, such as [writer]")
        for section, options in {"global": self.options, **self.sections}.items():
            _check_name(section, "section")
            for key, value in options.items():
                if fault := _fault(key, value):
                    raise UserError(f"fio job {self.name}, section [{section}]: {fault}")

    @classmethod
    def parse(cls, text: str, name: str = "job") -> FioJob:
        """Read a user's job file; UserError names the first line that cannot be accepted and why."""
        sections: dict[str, dict[str, str | int | None]] = {}
        current: dict[str, str | int | None] | None = None
        for number, raw in enumerate(text.splitlines(), 1):
            line = raw.strip()
            if not line or line[0] in "#;":
                continue
            if line[0] == "[":
                current = sections.setdefault(_section_name(line, sections, number), {})
            elif current is None:
                raise UserError(f"line {number}: {line!r} stands before any section: put [global] above it")
            else:
                key, value = _option(line, current, number)
                current[key] = value
        return cls(name, {k: v for k, v in sections.items() if k != "global"}, sections.get("global", {}))

    def render(self) -> str:
        """Return the job file in fio's ini form."""
        groups = {"global": self.options, **self.sections} if self.options else self.sections
        return "\n".join(_render_section(name, options) for name, options in groups.items())


def _render_section(name: str, options: Options) -> str:
    lines = [key if value is None else f"{key}={value}" for key, value in options.items()]
    return "\n".join([f"[{name}]", *lines, ""])


def _section_name(line: str, seen: Mapping[str, object], number: int) -> str:
    name = line[1:-1].strip()
    if not line.endswith("]") or not _NAME.fullmatch(name):
        raise UserError(
            f"line {number}: {line!r} is not a section: write [name], letters, digits and ._- only"
        )
    if name in seen:
        raise UserError(f"line {number}: section [{name}] comes twice: give it another name or merge them")
    return name


def _option(line: str, section: Mapping[str, object], number: int) -> tuple[str, str | None]:
    key, equals, value = (part.strip() for part in line.partition("="))
    if fault := _fault(key, value if equals else None):
        raise UserError(f"line {number}: {fault}")
    if key in section:
        raise UserError(f"line {number}: option {key!r} comes twice in its section: keep one")
    return key, value if equals else None


def _check_name(name: str, what: str) -> None:
    if not _NAME.fullmatch(name):
        raise UserError(f"fio {what} name {name!r}: use letters, digits, dot, dash and underscore")


def _fault(key: str, value: str | int | None) -> str | None:
    """Return what is wrong with an option, or None."""
    text = "" if value is None else str(value)
    if key == "directory":
        return "'directory' is chosen by iodiff (the file system under test): remove it"
    if key not in ALLOWED_OPTIONS:
        return (
            f"{key!r} is not among the fio options that iodiff passes on: remove it, or propose it for "
            "ALLOWED_OPTIONS in harness/fiojob.py"
        )
    if not _VALUE.fullmatch(text):
        return f"value {text!r} of {key!r} has characters that iodiff does not pass to fio: use plain ones"
    if key == "ioengine" and text not in ENGINES:
        return f"engine {text!r} may act outside the job's files: use one of {', '.join(sorted(ENGINES))}"
    if key == "filename":
        return _filename_fault(text)
    return None


def _filename_fault(text: str) -> str | None:
    # fio takes a list separated by colons; "-" means standard input.
    for path in text.split(":"):
        if not all(_NAME.fullmatch(part) for part in path.split("/")):
            return (
                f"file name {path!r} may lead out of the file system under test: use names relative to it, "
                "without '..', of letters, digits and ._-"
            )
    return None
