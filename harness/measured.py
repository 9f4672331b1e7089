# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases that measure how long reads take and what CPU time they cost, instead of recording events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.bundle import Bundle, BundleWriter
from harness.capture.recording import Recording
from harness.errors import InfrastructureError, UserError

__all__ = [
    "MEASUREMENTS_FILE",
    "MeasuredCapture",
    "Measurement",
    "keep_measurements",
    "kernel_threads_ns",
    "load_measurements",
]

MEASUREMENTS_FILE = "measurements.json"
_PROC = Path("/proc")
_KTHREADD = 2


@dataclass(frozen=True)
class Measurement:
    """One job of fio."""

    what: str
    """What it read."""
    way: str
    """How: ways are compared with each other."""
    round: int
    read_bytes: int
    seconds: float
    """As long as fio was reading."""
    task_cpu_s: float | None
    """CPU time of the process that read, s; None where the kernel did not tell it."""
    kernel_cpu_s: float
    """CPU time of all kernel threads meanwhile, whoever they worked for, s."""
    load: float
    """Tasks that ran or waited in the last minute."""


@dataclass(frozen=True)
class _Measured(Recording):
    """Measurements; these are the events."""

    measurements: Sequence[Measurement] = ()

    @property
    def count(self) -> int:
        """How many measurements there are."""
        return len(self.measurements)

    def save(self, writer: BundleWriter) -> None:
        """See `Recording.save`."""
        writer.add_json(MEASUREMENTS_FILE, [asdict(one) for one in self.measurements])


class MeasuredCapture:
    """A `Capture` that lets the file system alone, and keeps what the case measures."""

    def __init__(self) -> None:
        self._measured: list[Measurement] | None = None

    def keep(self, measurements: Sequence[Measurement]) -> None:
        """Keep all measurements of a case."""
        self._measured = list(measurements)

    def checkpoint(self, name: str) -> None:
        """Refused: nothing is recorded that could be read out (`Capture`)."""
        raise InfrastructureError(f"checkpoint {name}: a case that measures has none")

    def stop(self) -> Recording:
        """Return what was kept; InfrastructureError if the case did not come to that."""
        if self._measured is None:
            raise InfrastructureError("the case did not come to the end of its measurements")
        return _Measured("measured", {}, (), {}, {"clock": "CLOCK_MONOTONIC"}, tuple(self._measured))

    def close(self) -> None:
        """Give back nothing (`Capture`)."""


def load_measurements(bundle: Bundle) -> list[Measurement]:
    """Return the measurements of a bundle; UserError if it has none."""
    try:
        return [Measurement(**one) for one in bundle.json(MEASUREMENTS_FILE)]
    except (KeyError, TypeError) as error:
        raise UserError(f"{bundle.path}: no measurements ({error!r}): record the case again") from None


def keep_measurements(bundle: Bundle, folder: Path) -> Bundle:
    """Write a bundle of measurements to `folder` without what fio reported, which is most of it."""
    writer = BundleWriter(folder)
    for name in bundle.manifest["files"]:
        if not name.startswith("fio/"):
            writer.add_text(name, bundle.text(name))
    made_anew = ("format", "files", "digest")
    facts = {key: value for key, value in bundle.manifest.items() if key not in made_anew}
    return writer.finish({**facts, "left_out": "what fio reported"})


def kernel_threads_ns() -> dict[int, int]:
    """Return the CPU time of each kernel thread so far, ns, by its id (/proc/PID/schedstat)."""
    found = {}
    for folder in _PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == _KTHREADD:
                found[int(folder.name)] = int((folder / "schedstat").read_text().split()[0])
        except (OSError, IndexError, ValueError):
            # It has ended meanwhile.
            continue
    return found
