# SPDX-License-Identifier: GPL-2.0-or-later
"""Limits to what processes may do to devices of ours in a second: a disk without seeks, from the kernel."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from loopdevs.cgroups import Group, Limits, make_group
from loopdevs.errors import LoopdevsError, NotOursError
from loopdevs.journal import CgroupEntry
from loopdevs.ledger import Ledger

__all__ = ["Throttle"]


class Throttle:
    """A control group whose processes are held to limits on devices; leaving it as a context removes it."""

    def __init__(self, ledger: Ledger, name: str, devices: Sequence[Path], limits: Limits) -> None:
        """Make the group `name`, each of the devices with these limits; on failure nothing is left behind."""
        for device in devices:
            if not ledger.is_ours(device):
                raise NotOursError(f"{device} was not made by this run nor handed to it: left alone")
        self.limits = limits
        self._ledger = ledger
        self._entry = CgroupEntry(name)
        with ledger.rollback():
            ledger.record(self._entry)
            self._group = make_group(name)
            for device in devices:
                self._group.limit(device, limits)

    def add(self, pid: int) -> None:
        """Hold a process, and those that it starts, to the limits; LoopdevsError when that cannot be."""
        try:
            self._group.add(pid)
        except OSError as error:
            raise LoopdevsError(f"process {pid} cannot be throttled: {error.strerror}") from None

    @contextmanager
    def holding_us(self) -> Iterator[None]:
        """Hold this very process, and those that it starts, to the limits inside."""
        before = self._where_we_are()
        self.add(os.getpid())
        try:
            yield
        finally:
            before.add(os.getpid())

    def destroy(self) -> None:
        """Lift the limits and remove the group; again does nothing."""
        self._ledger.undo([self._entry])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.destroy()

    def _where_we_are(self) -> Group:
        """Return the group of this process in the same hierarchy (cgroups(7), /proc/PID/cgroup)."""
        root = self._group.folder.parent
        version_2 = (root / "cgroup.subtree_control").exists()
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            number, controllers, path = line.split(":", 2)
            if (number == "0") if version_2 else ("blkio" in controllers.split(",")):
                return Group(root / path.lstrip("/"))
        raise LoopdevsError(f"this process is in no group of {root}: /proc/self/cgroup does not say so")
