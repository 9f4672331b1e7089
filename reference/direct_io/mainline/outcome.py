# SPDX-License-Identifier: GPL-2.0-or-later
"""What a read comes to, and what of it depends on when bios end."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from errno import EIO
from typing import NamedTuple

from reference.direct_io.mainline.bios import Bio, Submitted
from reference.direct_io.mainline.complete import Completion

__all__ = ["DirectCall", "How", "Outcome", "Part", "Timing"]


class How(Enum):
    """The way of a part of a read."""

    DIRECT = "direct"
    HOLE = "hole"
    """Direct, without a device: zeroed."""
    BUFFERED = "buffered"
    """Through the page cache."""


class Part(NamedTuple):
    """A part of the request, by file offset, bytes."""

    start: int
    end: int
    how: How


class DirectCall(NamedTuple):
    """A call of `iomap_dio_rw`."""

    pos: int
    """Where in the file, bytes."""
    length: int
    """Bytes that are left of the request."""


class Timing(NamedTuple):
    """What depends on when bios end, and so cannot be predicted: a recording tells."""

    bios_before_error: int | None = None
    """How many bios were submitted before an error that ends the read came back; None: all of them."""
    returned: int = -EIO
    """What the call returned: an error that can be lost was lost where there are bytes all the same."""
    reads_in_all: int = 0
    """How many bios were read for it, by whomever."""


@dataclass
class Outcome:
    """What a read comes to."""

    returned: int = 0
    """What the system call returns: bytes, or -errno."""
    parts: list[Part] = field(default_factory=list)
    """How what was asked for is read, in order; neighbours of the same way are one."""
    direct: list[DirectCall] = field(default_factory=list)
    submitted: list[Submitted] = field(default_factory=list)
    """Bios in the order in which they are submitted."""
    submitted_directly: int = 0
    """How many of them, from the first on, are of what is direct; the page cache reads by the others."""
    completion: Completion = field(default_factory=Completion)
    """What was done about bad copies."""
    error_lost: bool = False
    """Whether blocks could not be had, and the caller is not told: there are zeros in their place."""
    memory_unknown: bool = False
    """Whether not even zeros are there: no copy could be read, and what memory had before is what it has."""
    longest_buffered: int = 0
    """Bytes of the longest bio that the page cache was filled by, before it was cut for devices."""
    pages: list[int] = field(default_factory=list)
    """Indices of the pages that get into the page cache, in that order."""
    writes: list[tuple[int, memoryview | int]] = field(default_factory=list)
    """What is written to memory, in order: an address, and bytes or how many zeros."""

    @property
    def bios(self) -> list[Bio]:
        """The bios that reach a device."""
        return [one.bio for one in self.submitted if one.sent]

    def add_part(self, start: int, end: int, how: How) -> None:
        """Note how bytes are read that lie behind those noted last."""
        if self.parts and self.parts[-1].how is how:
            self.parts[-1] = self.parts[-1]._replace(end=end)
        else:
            self.parts.append(Part(start, end, how))
