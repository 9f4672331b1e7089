# SPDX-License-Identifier: GPL-2.0-or-later
"""Keeps the record of losses of power that a case has made by itself."""

from __future__ import annotations

from dataclasses import dataclass

from harness.bcache.crash.record import ARRAYS, FACTS, CrashRecord, save_record
from harness.bundle import BundleWriter
from harness.capture.recording import Recording
from harness.errors import InfrastructureError

__all__ = ["CrashCapture", "CrashRecording"]


@dataclass(frozen=True)
class CrashRecording(Recording):
    """The log of writes; the events are its entries."""

    record: CrashRecord | None = None

    @property
    def count(self) -> int:
        """How many entries the log has."""
        return len(self.record.entries) if self.record else 0

    def save(self, writer: BundleWriter) -> None:
        """See `Recording.save`."""
        assert self.record is not None
        save_record(self.record, writer.file(FACTS), writer.file(ARRAYS))


class CrashCapture:
    """A `Capture` to which the case gives what is to be kept."""

    def __init__(self) -> None:
        self._recording: CrashRecording | None = None

    def keep(self, record: CrashRecord) -> None:
        """Keep the record of a case."""
        self._recording = CrashRecording("log", {}, (), {}, {}, record)

    def checkpoint(self, name: str) -> None:
        """Refused: there is nothing that could be read out (`Capture`)."""
        raise InfrastructureError(f"checkpoint {name}: a case that loses power has none")

    def stop(self) -> Recording:
        """Return what was kept; InfrastructureError if the case did not come to that."""
        if self._recording is None:
            raise InfrastructureError("the case did not come to the end of its losses of power")
        return self._recording

    def close(self) -> None:
        """Give back nothing (`Capture`)."""
