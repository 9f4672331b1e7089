# SPDX-License-Identifier: GPL-2.0-or-later
"""A mapped device (device mapper) over devices of ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from loopdevs.errors import LoopdevsError
from loopdevs.events import wait_for_block_device
from loopdevs.journal import MapperEntry
from loopdevs.ledger import Ledger
from loopdevs.mapper_control import find_mapped, is_suspended, kernel_targets
from loopdevs.mapper_table import Segment, devices_of, table_text

__all__ = ["Mapper"]


class Mapper:
    """A mapped device in use; leaving it as a context removes it."""

    def __init__(self, ledger: Ledger, name: str, segments: Sequence[Segment]) -> None:
        """Make the device `name`, which is its uuid too; on failure nothing is left behind."""
        self.name = name
        self._ledger = ledger
        table = self._table(segments)
        self._entry = MapperEntry(name)
        with ledger.rollback():
            ledger.record(self._entry)
            ledger.run_tool("dmsetup", ["create", "--noudevsync", "--uuid", name, name], table)
            self.device = self._find()
            """The node, /dev/dm-N."""
            wait_for_block_device(self.device)

    @property
    def suspended(self) -> bool:
        """Whether all I/O is held back."""
        return is_suspended(self.device)

    def reload(self, segments: Sequence[Segment]) -> None:
        """Put another table in the place of the one in force, once the I/O under way has ended."""
        table = self._table(segments)
        # Once more: the device must go before those that the new table uses.
        self._ledger.record(self._entry)
        self._dmsetup("reload", table)
        self._dmsetup("resume")

    def suspend(self) -> None:
        """Wait for the I/O under way and hold back all other until `resume`."""
        self._dmsetup("suspend")

    def resume(self) -> None:
        """Let the I/O go on."""
        self._dmsetup("resume")

    def message(self, text: str) -> None:
        """Tell the target of the first segment something; LoopdevsError when it does not understand."""
        self._ledger.run_tool("dmsetup", ["message", "--uuid", self.name, "0", *text.split()])

    def destroy(self) -> None:
        """Remove the device, waiting while it is busy; again does nothing."""
        self._ledger.undo([self._entry])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.destroy()

    def _table(self, segments: Sequence[Segment]) -> str:
        for device in devices_of(segments):
            self._ledger.member(device)
        missing = {segment.target.name for segment in segments} - kernel_targets()
        if missing:
            raise LoopdevsError(f"the kernel has no device mapper target {', '.join(sorted(missing))}")
        return table_text(segments)

    def _find(self) -> Path:
        device = find_mapped(self.name, self._ledger.marker.token)
        if device is None:
            raise LoopdevsError(f"mapped device {self.name} is gone: somebody removed it")
        return device

    def _dmsetup(self, command: str, table: str = "") -> None:
        self._find()
        self._ledger.run_tool("dmsetup", [command, "--noudevsync", "--uuid", self.name], table)
