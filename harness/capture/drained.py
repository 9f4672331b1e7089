# SPDX-License-Identifier: GPL-2.0-or-later
"""What both captures share: a thread that empties the kernel's buffer into a file until they are stopped."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from harness.capture.features import detect
from harness.capture.kernel import running_kernel
from harness.capture.recording import Recording
from harness.errors import InfrastructureError
from reference.extent_state import FEATURES

__all__ = ["DrainedCapture"]

POLL_S = 0.02


class DrainedCapture(ABC):
    """A running capture; events pass through the file `scratch`, which is removed at the end.

    `features` are those to look for in the kernel (`harness.capture.features`). Raises UserError where the
    kernel does not say what its bits and owners are.
    """

    method: str

    def __init__(self, scratch: Path, features: Sequence[str] = FEATURES) -> None:
        self.kernel = running_kernel()
        self.features = detect(features)
        self._failure: Exception | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._drain_until_stopped, name="capture")
        self._begin_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        with ExitStack() as made:
            self._raw = scratch.open("w+b")
            made.callback(self._discard, scratch)
            self._start(made)
            self._made = made.pop_all()

    def stop(self) -> Recording:
        """Stop recording and return everything; raises InfrastructureError when the reader had died."""
        self._halt()
        self._end_thread()
        try:
            if self._failure is not None:
                raise InfrastructureError(f"the event reader died: {self._failure}") from self._failure
            self._drain()
            self._raw.seek(0)
            return self._recording()
        finally:
            self.close()

    def close(self) -> None:
        """Give everything back; harmless when done before."""
        self._made.close()

    @abstractmethod
    def _start(self, made: ExitStack) -> None:
        """Begin to record; what must be given back is pushed on `made`."""

    @abstractmethod
    def _halt(self) -> None:
        """Make the kernel record no more."""

    @abstractmethod
    def _drain(self) -> None:
        """Move what the kernel has recorded into the file."""

    @abstractmethod
    def _recording(self) -> Recording:
        """Make a recording of the file."""

    def _facts(self) -> dict[str, Any]:
        """Return what a judge must know of the kernel."""
        return {"bits": self.kernel.bits, "owners": self.kernel.owners, "features": self.features}

    def _start_thread(self, made: ExitStack) -> None:
        self._thread.start()
        made.callback(self._end_thread)

    def _end_thread(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _discard(self, scratch: Path) -> None:
        # A full disk shows again when what is still buffered is written; nobody wants that any more.
        with suppress(OSError):
            self._raw.close()
        scratch.unlink()

    def _drain_until_stopped(self) -> None:
        try:
            while not self._stopping.wait(POLL_S):
                self._drain()
        except Exception as error:
            # Its frames hold views of the buffer, which then could not be unmapped.
            self._failure = error.with_traceback(None)
