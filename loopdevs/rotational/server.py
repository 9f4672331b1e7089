# SPDX-License-Identifier: GPL-2.0-or-later
"""Starting the process that is a disk. It ends with us, or is killed when it is undone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

from loopdevs.deadline import Deadline
from loopdevs.errors import DeviceTimeoutError, LoopdevsError
from loopdevs.journal import ServerEntry
from loopdevs.ledger import Ledger
from loopdevs.processes import process_start_time
from loopdevs.rotational.hurry import hurry, keep_time
from loopdevs.rotational.layout import RotationalLayout
from loopdevs.rotational.libfuse import LIBFUSE
from loopdevs.rotational.names import COMPLAINTS, READY
from loopdevs.tracing import mount_source

__all__ = ["Front", "Server"]

Front = Literal["fuse", "nbd"]
"""How a disk is to be reached: as a file, or by NBD on a socket."""

ROOT = Path(__file__).parents[2]
START_DEADLINE_S = 20.0
OBEY_DEADLINE_S = 10.0
END_DEADLINE_S = 10.0


class Server:
    """The process of the disk whose folder is `name`, in the journal before it runs.

    The shell in between waits for our word; it and the disk end when we are gone.
    """

    def __init__(self, ledger: Ledger, name: str, front: Front, layout: RotationalLayout) -> None:
        self._folder = ledger.directory / name
        source = mount_source(ledger.marker.token)
        arguments = [front, source, json.dumps(layout.to_json())]
        with (self._folder / COMPLAINTS).open("xb") as complaints:
            self._child = subprocess.Popen(
                [
                    *("/bin/sh", "-c", 'read -r word && exec "$@"', "sh"),
                    *(sys.executable, "-m", "loopdevs.rotational.serve", *arguments),
                ],
                stdin=subprocess.PIPE,
                stdout=complaints,
                stderr=complaints,
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", **LIBFUSE},
                start_new_session=True,
            )
        self._entry = ServerEntry(name, self._child.pid, process_start_time(self._child.pid))
        try:
            ledger.record(self._entry)
        except BaseException:
            self.reap()
            raise

    def go(self) -> None:
        """Give the word, and return when the disk can be reached; LoopdevsError says why it cannot."""
        assert self._child.stdin is not None
        self._child.stdin.write(b"go\n")
        self._child.stdin.flush()
        deadline = Deadline(START_DEADLINE_S)
        if not deadline.wait(lambda: self._ready() or self._child.poll() is not None):
            raise DeviceTimeoutError(f"the disk {self._folder} was not ready within {START_DEADLINE_S:g} s")
        if self._child.poll() is not None:
            raise LoopdevsError(f"no rotational disk: {self._complaint()}")

    def tell(self, *, timed: bool) -> None:
        """Have it answer in its time, or at once; LoopdevsError when it does not come to that."""
        if not (keep_time if timed else hurry)(self._entry, self._folder, Deadline(OBEY_DEADLINE_S)):
            raise LoopdevsError(f"the disk {self._folder} does not obey: {self._complaint()}")

    def reap(self) -> None:
        """Let it end, if it has not, and wait for that; DeviceTimeoutError when it does not."""
        assert self._child.stdin is not None
        self._child.stdin.close()
        try:
            self._child.wait(END_DEADLINE_S)
        except subprocess.TimeoutExpired:
            raise DeviceTimeoutError(f"the disk (pid {self._child.pid}) does not end: kill it") from None

    def _ready(self) -> bool:
        return (self._folder / READY).exists()

    def _complaint(self) -> str:
        lines = (self._folder / COMPLAINTS).read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit code of its process: {self._child.poll()}"
