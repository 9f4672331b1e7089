# SPDX-License-Identifier: GPL-2.0-or-later
"""Keeps what a case has read of trees by itself, and the trees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.bundle import BundleWriter
from harness.capture.recording import Recording
from harness.errors import InfrastructureError
from harness.readahead.excerpt import Excerpt, save_excerpt
from harness.readahead.reads import Run, save_runs

__all__ = ["ReadsCapture", "ReadsRecording"]


@dataclass(frozen=True)
class ReadsRecording(Recording):
    """Reads of trees; the events are reads."""

    runs: Sequence[Run] = ()
    trees: Excerpt | None = None

    @property
    def count(self) -> int:
        """How many reads there are."""
        return sum(len(run.reads) for run in self.runs)

    def save(self, writer: BundleWriter) -> None:
        """See `Recording.save`."""
        assert self.trees is not None
        save_runs(writer, self.runs)
        save_excerpt(writer, self.trees)


class ReadsCapture:
    """A `Capture` to which the case gives what is to be kept."""

    def __init__(self) -> None:
        self._recording: ReadsRecording | None = None

    def keep(self, trees: Excerpt, runs: Sequence[Run]) -> None:
        """Keep all reads of a case, and the trees that were there to be read."""
        facts = {"clock": "CLOCK_MONOTONIC"}
        self._recording = ReadsRecording("reads", {}, (), {}, facts, tuple(runs), trees)

    def checkpoint(self, name: str) -> None:
        """Refused: there is nothing that could be read out (`Capture`)."""
        raise InfrastructureError(f"checkpoint {name}: a case that reads trees itself has none")

    def stop(self) -> Recording:
        """Return what was kept; InfrastructureError if the case did not come to that."""
        if self._recording is None:
            raise InfrastructureError("the case did not come to the end of its reads")
        return self._recording

    def close(self) -> None:
        """Give back nothing (`Capture`)."""
