# SPDX-License-Identifier: GPL-2.0-or-later
"""Device mapper tables: what each target takes, as the kernel wants it written.

Offsets and lengths are in sectors of 512 bytes. Formats: Documentation/admin-guide/device-mapper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from loopdevs.errors import LoopdevsError

__all__ = ["Delay", "Error", "Flakey", "Linear", "LogWrites", "Segment", "Target", "devices_of", "table_text"]


class Target(Protocol):
    """What a range of a mapped device does."""

    name: ClassVar[str]
    """The kernel's name of the target."""

    @property
    def devices(self) -> tuple[Path, ...]:
        """The devices that it uses."""

    @property
    def parameters(self) -> str:
        """What stands behind the name in a table."""


@dataclass(frozen=True)
class Linear:
    """Passes everything on."""

    name: ClassVar[str] = "linear"
    device: Path
    offset: int = 0

    @property
    def devices(self) -> tuple[Path, ...]:
        """The device passed to."""
        return (self.device,)

    @property
    def parameters(self) -> str:
        """See `Target`."""
        return f"{self.device} {self.offset}"


@dataclass(frozen=True)
class Delay:
    """Passes everything on after a time; requests are delayed side by side, not one after another."""

    name: ClassVar[str] = "delay"
    device: Path
    read_ms: int = 0
    write_ms: int = 0
    flush_ms: int = 0
    offset: int = 0

    @property
    def devices(self) -> tuple[Path, ...]:
        """The device passed to."""
        return (self.device,)

    @property
    def parameters(self) -> str:
        """See `Target`; all three classes are always given, or writes and flushes follow the reads."""
        delays = (self.read_ms, self.write_ms, self.flush_ms)
        return " ".join(f"{self.device} {self.offset} {delay}" for delay in delays)


@dataclass(frozen=True)
class Flakey:
    """Works for `up_s` seconds, then misbehaves for `down_s` seconds, over and over."""

    name: ClassVar[str] = "flakey"
    device: Path
    up_s: int
    down_s: int
    features: tuple[str, ...] = ()
    """How it misbehaves, in words of the table ("drop_writes"); without any, everything fails."""
    offset: int = 0

    @property
    def devices(self) -> tuple[Path, ...]:
        """The device passed to."""
        return (self.device,)

    @property
    def parameters(self) -> str:
        """See `Target`."""
        words = [word for feature in self.features for word in feature.split()]
        features = f" {len(words)} {' '.join(words)}" if words else ""
        return f"{self.device} {self.offset} {self.up_s} {self.down_s}{features}"


@dataclass(frozen=True)
class Error:
    """Fails everything."""

    name: ClassVar[str] = "error"

    @property
    def devices(self) -> tuple[Path, ...]:
        """None."""
        return ()

    @property
    def parameters(self) -> str:
        """None."""
        return ""


@dataclass(frozen=True)
class LogWrites:
    """Passes everything on, and logs the writes to another device, in order of completion."""

    name: ClassVar[str] = "log-writes"
    device: Path
    log: Path

    @property
    def devices(self) -> tuple[Path, ...]:
        """The device passed to and the one of the log."""
        return (self.device, self.log)

    @property
    def parameters(self) -> str:
        """See `Target`."""
        return f"{self.device} {self.log}"


@dataclass(frozen=True)
class Segment:
    """A range of a mapped device."""

    sectors: int
    target: Target


def table_text(segments: Sequence[Segment]) -> str:
    """Return the table of a device made of `segments`, one after another; LoopdevsError when it is no table.

    >>> table_text([Segment(8, Linear(Path("/dev/loop0"))), Segment(16, Error())])
    '0 8 linear /dev/loop0 0\\n8 16 error\\n'
    """
    if not segments or any(segment.sectors <= 0 for segment in segments):
        raise LoopdevsError("a device mapper table needs segments of at least one sector")
    lines = []
    start = 0
    for segment in segments:
        lines.append(f"{start} {segment.sectors} {segment.target.name} {segment.target.parameters}".rstrip())
        start += segment.sectors
    return "".join(f"{line}\n" for line in lines)


def devices_of(segments: Sequence[Segment]) -> tuple[Path, ...]:
    """Return the devices that the segments use, each once."""
    return tuple(dict.fromkeys(device for segment in segments for device in segment.target.devices))
