# SPDX-License-Identifier: GPL-2.0-or-later
"""CPU and block-delay accounting of fio's processes, from the kernel's taskstats at their exit.

The kernel sends one record for each task that exits on a registered CPU, to the socket that registered
(Documentation/accounting/taskstats.rst). Records wait in the socket until they are read, so no thread is
needed; what does not fit is lost, and counted. Only init's user and pid namespaces may listen.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pyroute2 import TaskStats
from pyroute2.netlink import NLM_F_ACK, NLM_F_REQUEST
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.taskstats import TASKSTATS_CMD_GET, taskstatsmsg, tcmd

__all__ = ["ExitAccounting", "TaskRecord", "delay_accounting_on"]

_NETLINK_GENERIC = 16
_NLMSG_ERROR = 2
_BUFFER_BYTES = 4 << 20  # a record costs about 2 KiB of it
_POSSIBLE_CPUS = Path("/sys/devices/system/cpu/possible")
_DELAY_SWITCH = Path("/proc/sys/kernel/task_delayacct")


@dataclass(frozen=True)
class TaskRecord:
    """What one task (a process, or a thread) used until it exited."""

    pid: int
    """Task id; for a thread its own, not its process's."""
    parent: int
    """Process id of the parent."""
    comm: str
    """Name the task had."""
    cpu_user_us: int
    cpu_system_us: int
    blkio_delay_ns: int
    """Time spent waiting for block I/O, ns; 0 while delay accounting is off."""
    blkio_count: int
    """Waits for block I/O; 0 while delay accounting is off."""
    elapsed_us: int
    """Life time of the task."""
    cpu_run_ns: int
    """Time on a CPU as the scheduler counts it, ns (`cpu_run_virtual_total`). Those in user and system mode
    may be counted by clock ticks, some milliseconds at a time."""


class ExitAccounting:
    """Collects the exit records of all tasks while entered; never fails, but says why it has nothing."""

    def __init__(self) -> None:
        self.unavailable = ""
        """Why nothing is collected; empty when collecting."""
        self.lost = 0
        """Times the kernel reported that records were dropped."""
        self._records: list[TaskRecord] = []
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        """Start to listen. The kernel drops the registration when the socket is closed."""
        try:
            self._socket = _listen()
        except PermissionError:
            self.unavailable = "the kernel sends taskstats to root only"
        except (OSError, NetlinkError) as error:
            self.unavailable = f"taskstats netlink refused: {error}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        if self._socket is not None:
            self._socket.close()

    def report(self, job: str, pid: int) -> dict[str, Any]:
        """Return the JSON object for fio job `job`, run as process `pid`, which has exited."""
        if self._socket is None:
            return {"job": job, "unavailable": self.unavailable}
        self._records.extend(self._drain(self._socket))
        family = family_of(pid, self._records)
        return {
            "job": job,
            "delay_accounting": delay_accounting_on(),
            "lost": self.lost,
            "processes": [asdict(record) for record in family],
        }

    def _drain(self, listener: socket.socket) -> Iterator[TaskRecord]:
        while True:
            try:
                data = listener.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.lost += 1
            else:
                yield from decode(data)


def delay_accounting_on() -> bool:
    """Whether the kernel accounts delays now; kernels before 5.14 have no switch and always do."""
    try:
        return _DELAY_SWITCH.read_text().strip() != "0"
    except FileNotFoundError:
        return True


def family_of(pid: int, records: list[TaskRecord]) -> list[TaskRecord]:
    """Return the records of process `pid`, its threads and its children's tasks, in order of exit.

    A thread's record names its own id and its process's parent: so `pid`'s threads are siblings that carry
    its name.
    """
    main = next((r for r in records if r.pid == pid), None)
    return [
        r
        for r in records
        if pid in {r.pid, r.parent} or (main and (r.parent, r.comm) == (main.parent, main.comm))
    ]


def decode(data: bytes) -> Iterator[TaskRecord]:
    """Read one message: a task's record, or nothing (sums over a thread group)."""
    message = taskstatsmsg(data)
    message.decode()
    for name, aggregate in message["attrs"]:
        if name == "TASKSTATS_TYPE_AGGR_PID":
            yield _record(aggregate.get_attr("TASKSTATS_TYPE_STATS"))


def _record(stats: Any) -> TaskRecord:
    return TaskRecord(
        pid=stats["ac_pid"],
        parent=stats["ac_ppid"],
        comm=_text(stats["ac_comm"]),
        cpu_user_us=stats["ac_utime"],
        cpu_system_us=stats["ac_stime"],
        blkio_delay_ns=stats["blkio_delay_total"],
        blkio_count=stats["blkio_count"],
        elapsed_us=stats["ac_etime"],
        cpu_run_ns=stats["cpu_run_virtual_total"],
    )


def _text(comm: bytes | str) -> str:
    text = comm.decode(errors="replace") if isinstance(comm, bytes) else comm
    return text.partition("\0")[0]


def _listen() -> socket.socket:
    with TaskStats() as resolver:
        resolver.bind()
        family = resolver.asyncore.prid
    listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_GENERIC)
    try:
        _grow(listener)
        listener.bind((0, 0))
        _register(listener, family)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _grow(listener: socket.socket) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    with suppress(PermissionError):
        force = 33  # SO_RCVBUFFORCE: beyond net.core.rmem_max, for root
        listener.setsockopt(socket.SOL_SOCKET, force, _BUFFER_BYTES)


def _register(listener: socket.socket, family: int) -> None:
    request = tcmd()
    request["cmd"] = TASKSTATS_CMD_GET
    request["version"] = 1
    cpus = _POSSIBLE_CPUS.read_text().strip()
    request["attrs"].append(["TASKSTATS_CMD_ATTR_REGISTER_CPUMASK", cpus])
    request["header"].update(type=family, flags=NLM_F_REQUEST | NLM_F_ACK, sequence_number=1)
    request.encode()
    listener.send(request.data)
    # The answer is an nlmsgerr: 16 bytes of header (its type at 4), then minus the errno.
    answer = listener.recv(4096)
    kind, code = struct.unpack_from("=H", answer, 4)[0], struct.unpack_from("=i", answer, 16)[0]
    if kind != _NLMSG_ERROR or code:
        raise OSError(-code, os.strerror(-code))
