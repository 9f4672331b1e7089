# SPDX-License-Identifier: GPL-2.0-or-later
"""The ways to capture, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

from harness.bcache.capture import BcacheCapture
from harness.bcache.crash.capture import CrashCapture
from harness.capture import Capture
from harness.capture.extent_io import BpfCapture, load_programs
from harness.capture.tracefs import TracefsCapture
from harness.direct_io.capture import DirectIoCapture
from harness.direct_io.races import RacesCapture
from harness.measured import MeasuredCapture
from harness.readahead.capture import ReadaheadCapture
from harness.readahead.reads_capture import ReadsCapture
from loopdevs import Workspace

__all__ = [
    "BCACHE",
    "CAPTURES",
    "CRASHES",
    "DEEP_DIRECT_IO",
    "DIRECT_IO",
    "MEASURED",
    "RACES",
    "READAHEAD",
    "READS",
    "CaptureFactory",
    "capture_preparer",
    "prepared_bpf",
]

CAPTURES = ("bpf", "tracefs")
"""Those of extent-io-trees, which a run can choose from."""
READAHEAD = "readahead"
"""The one that cases of readaheads have instead."""
READS = "reads"
"""The one of cases that read trees from the devices themselves."""
DIRECT_IO = "direct-io"
"""The one of cases that read files directly."""
DEEP_DIRECT_IO = "direct-io-calls"
"""The same for cases in which several reads are under way at a time."""
RACES = "races"
"""The one of cases that read files directly which are changed at the same time."""
MEASURED = "measured"
"""The one of cases that measure, and record nothing."""
BCACHE = "bcache"
"""The one of cases that work on a cache."""
CRASHES = "crashes"
"""The one of cases that lose power under a cache."""

_BY_THE_CASE: dict[str, Callable[[Path], Capture]] = {
    READAHEAD: lambda _: ReadaheadCapture(),
    READS: lambda _: ReadsCapture(),
    DIRECT_IO: lambda _: DirectIoCapture(),
    DEEP_DIRECT_IO: lambda _: DirectIoCapture(by_call=True),
    RACES: lambda _: RacesCapture(),
    MEASURED: lambda _: MeasuredCapture(),
    BCACHE: BcacheCapture,
    CRASHES: lambda _: CrashCapture(),
}
"""Those that the case itself makes use of, each from a scratch file."""

CaptureFactory = Callable[[str, Path], Capture]
"""Starts a capture of the file system with this fsid, with a scratch file to use."""


def capture_preparer(name: str, workspace: Workspace) -> Callable[[], AbstractContextManager[CaptureFactory]]:
    """Return what prepares a capture of this name, while the file system that is to be captured is made."""
    if name == "tracefs":
        return lambda: nullcontext(
            lambda fsid, scratch: TracefsCapture(fsid, workspace.tracing(), scratch),
        )
    if name in _BY_THE_CASE:
        return lambda: nullcontext(lambda _fsid, scratch: _BY_THE_CASE[name](scratch))
    return prepared_bpf


@contextmanager
def prepared_bpf() -> Iterator[CaptureFactory]:
    """Load the BPF programs in the background: an emulated guest checks them for a third of a second.

    What is yielded may be called once.
    """
    with ThreadPoolExecutor(1, "BPF programs") as pool:
        loading = pool.submit(load_programs)
        try:
            yield lambda fsid, scratch: BpfCapture(fsid, scratch, load=loading.result)
        finally:
            # Closed by the capture already, where there was one.
            with suppress(Exception):
                loading.result().close()
