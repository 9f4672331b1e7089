# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes: who holds a directory, and ending a recorded process group."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from loopdevs.deadline import Deadline
from loopdevs.errors import LoopdevsError, NotOursError

__all__ = [
    "Process",
    "end_group",
    "holders",
    "parse_stat",
    "process",
    "process_start_time",
    "send_signal",
]


@dataclass(frozen=True)
class Process:
    """What identifies a process: its number and when it began."""

    pid: int
    name: str
    state: str
    group: int
    start_time: int
    """Clock ticks after boot."""

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})"

    @property
    def alive(self) -> bool:
        """Whether it can still do something: neither a zombie nor dead."""
        return self.state not in "ZX"


def parse_stat(text: str) -> Process:
    """Parse /proc/PID/stat (proc(5); `do_task_stat`, fs/proc/array.c).

    >>> parse_stat("7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 345 0 0")
    Process(pid=7, name='a) b', state='S', group=7, start_time=345)
    """
    # The name may hold blanks and brackets: the last bracket ends it.
    head, _, tail = text.rpartition(")")
    pid, _, name = head.partition(" (")
    values = tail.split()
    return Process(int(pid), name, values[0], int(values[2]), int(values[19]))


def process(pid: int) -> Process | None:
    """Return the process of that number, None when there is none."""
    try:
        return parse_stat(Path(f"/proc/{pid}/stat").read_text(errors="replace"))
    except (FileNotFoundError, ProcessLookupError):
        return None


def process_start_time(pid: int) -> int:
    """Return when process `pid` began, in clock ticks after boot; LoopdevsError when there is none."""
    found = process(pid)
    if found is None:
        raise LoopdevsError(f"process {pid} does not exist")
    return found.start_time


def holders(directory: Path) -> list[Process]:
    """Return the processes with a working directory, root, open or mapped file at or below `directory`."""
    return [p for p in _processes() if _uses(p.pid, directory)]


def end_group(pid: int, start_time: int, directory: Path, deadline: Deadline) -> bool:
    """Kill the group that process `pid` of `start_time` leads; return whether there was anything to kill.

    When the leader is gone, its number no longer proves who the members are: then only those that began
    after it and use `directory` are killed. LoopdevsError when some are alive at the deadline.
    """
    leader = process(pid)
    if leader and leader.start_time != start_time:
        return False
    if pid <= 1 or pid == os.getpgrp() or (leader and leader.group != pid):
        raise NotOursError(f"process {pid} does not lead a group of its own: left alone")
    if not _members(pid, start_time, directory):
        return False
    if not deadline.wait(lambda: _kill_members(pid, start_time, directory)):
        alive = ", ".join(str(p) for p in _members(pid, start_time, directory))
        raise LoopdevsError(f"{alive} did not end within {deadline.seconds:g} s of SIGKILL")
    return True


def send_signal(receiver: Process, number: signal.Signals) -> None:
    """Send a signal to that very process, if it is still there."""
    try:
        descriptor = os.pidfd_open(receiver.pid)
    except ProcessLookupError:
        return
    try:
        # The descriptor stays with one process; only now is it sure which.
        if process_start_time(receiver.pid) == receiver.start_time:
            signal.pidfd_send_signal(descriptor, number)
    except (LoopdevsError, ProcessLookupError):
        pass
    finally:
        os.close(descriptor)


def _members(pid: int, start_time: int, directory: Path) -> list[Process]:
    members = [p for p in _processes() if p.group == pid and p.alive and p.start_time >= start_time]
    leader = process(pid)
    if leader and leader.start_time == start_time:
        return members
    return [p for p in members if _uses(p.pid, directory)]


def _kill_members(pid: int, start_time: int, directory: Path) -> bool:
    """Kill who is left of the group; return whether nobody was."""
    members = _members(pid, start_time, directory)
    for member in members:
        send_signal(member, signal.SIGKILL)
    return not members


def _processes() -> list[Process]:
    found = (process(int(path.name)) for path in Path("/proc").iterdir() if path.name.isdecimal())
    return [p for p in found if p]


def _uses(pid: int, directory: Path) -> bool:
    base = Path(f"/proc/{pid}")
    links = [base / "cwd", base / "root"]
    try:
        links += (base / "fd").iterdir()
        mapped = (base / "maps").read_text(errors="replace")
    except OSError:
        mapped = ""
    return f" {directory}/" in mapped or any(_points_into(link, directory) for link in links)


def _points_into(link: Path, directory: Path) -> bool:
    try:
        return link.readlink().is_relative_to(directory)
    except OSError:
        return False
