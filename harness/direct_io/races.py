# SPDX-License-Identifier: GPL-2.0-or-later
"""What reads found of files that were changed at the same time, kept in bundles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from typing import Any

import numpy as np

from harness.bundle import Bundle, BundleWriter, Table
from harness.capture.recording import Recording
from harness.errors import InfrastructureError, UserError
from reference.direct_io.concurrent import BLOCK, GARBAGE, ZEROS, Change, ChangeKind

__all__ = ["RACES_FILE", "Race", "RaceRead", "RacesCapture", "Seen", "load_race", "seen_in", "words"]

RACES_FILE = "direct_io_race.json"
CHANGES_FILE, CUTS_FILE, READS_FILE, SEEN_FILE = (
    f"direct_io_race_{name}.npz" for name in ("changes", "cuts", "reads", "seen")
)
WORD = 8
INDEX_BITS = 40
"""A word is its version, and below that its place in the file, from 1: so no word is zero."""


@dataclass(frozen=True)
class Seen:
    """Blocks in a row of which a read found one version; of a torn block one for each version in it."""

    block: int
    blocks: int
    version: int


@dataclass(frozen=True)
class RaceRead:
    """A direct read. Bytes, ns of one clock with the changes."""

    reader: int
    offset: int
    length: int
    begin_ns: int
    end_ns: int
    returned: int
    """Bytes, or -errno."""
    seen: Sequence[Seen] = ()


@dataclass(frozen=True)
class Race:
    """A file that is changed while it is read."""

    chunk: int
    """Writes and reads are of so many bytes, or a multiple, from a multiple on."""
    changes: Sequence[Change]
    reads: Sequence[RaceRead]


def words(version: int, offset: int, length: int) -> bytes:
    """Return what a version has at `offset`: both and the length of whole words."""
    places = np.arange(offset // WORD + 1, (offset + length) // WORD + 1, dtype=np.uint64)
    return (places | np.uint64(version << INDEX_BITS)).tobytes()


def seen_in(data: bytes | memoryview, offset: int) -> list[Seen]:
    """Return what was found, from `offset` on, which is a block's; a last word that is not whole is left out.

    >>> seen_in(words(7, 4096, 12288), 4096)
    [Seen(block=1, blocks=3, version=7)]
    """
    found = np.frombuffer(data[: len(data) // WORD * WORD], np.uint64)
    places = np.arange(offset // WORD + 1, offset // WORD + 1 + len(found), dtype=np.uint64)
    versions = (found >> np.uint64(INDEX_BITS)).astype(np.int64)
    right = (found & np.uint64((1 << INDEX_BITS) - 1)) == places
    versions = np.where(right & (versions > 0), versions, np.where(found == 0, ZEROS, GARBAGE))
    per_block = BLOCK // WORD
    seen: list[Seen] = []
    for begin in range(0, len(versions), per_block):
        block = offset // BLOCK + begin // per_block
        for version in np.unique(versions[begin : begin + per_block]).tolist():
            _add(seen, block, version)
    return seen


def _add(seen: list[Seen], block: int, version: int) -> None:
    last = seen[-1] if seen else None
    if last and last.version == version and last.block + last.blocks == block:
        seen[-1] = Seen(last.block, last.blocks + 1, version)
    else:
        seen.append(Seen(block, 1, version))


class RacesCapture:
    """A `Capture` to which the case gives what is to be kept."""

    def __init__(self) -> None:
        self._recording: RaceRecording | None = None

    def keep(self, race: Race) -> None:
        """Keep all of a race."""
        self._recording = RaceRecording("reads", {}, (), {}, {"clock": "CLOCK_MONOTONIC"}, race)

    def checkpoint(self, name: str) -> None:
        """Refused: there is nothing that could be read out (`Capture`)."""
        raise InfrastructureError(f"checkpoint {name}: a case of races has none")

    def stop(self) -> Recording:
        """Return what was kept; InfrastructureError if the case did not come to that."""
        if self._recording is None:
            raise InfrastructureError("the case did not come to the end of its reads")
        return self._recording

    def close(self) -> None:
        """Give back nothing (`Capture`)."""


@dataclass(frozen=True)
class RaceRecording(Recording):
    """A race; the events are reads."""

    race: Race | None = None

    @property
    def count(self) -> int:
        """How many reads there are."""
        return len(self.race.reads) if self.race else 0

    def save(self, writer: BundleWriter) -> None:
        """See `Recording.save`."""
        assert self.race is not None
        race = self.race
        writer.add_json(RACES_FILE, {"chunk": race.chunk})
        changes = [[getattr(change, name) for name in _CHANGE] for change in race.changes]
        writer.add_table(CHANGES_FILE, _table(_CHANGE, changes))
        cuts = [(number, cut) for number, change in enumerate(race.changes) for cut in change.cuts]
        writer.add_table(CUTS_FILE, _table(("change", "cut"), cuts))
        rows = [[getattr(read, name) for name in _READ] for read in race.reads]
        writer.add_table(READS_FILE, _table(_READ, rows))
        seen = [(number, *astuple(one)) for number, read in enumerate(race.reads) for one in read.seen]
        writer.add_table(SEEN_FILE, _table(("read", *_names(Seen)), seen))


def load_race(bundle: Bundle) -> Race:
    """Return what was kept; UserError if it is something else."""
    try:
        cuts: dict[int, list[int]] = {}
        for number, cut in _rows(bundle.table(CUTS_FILE), ("change", "cut")):
            cuts.setdefault(number, []).append(cut)
        changes = [
            replace(Change(ChangeKind(kind), *rest), cuts=tuple(cuts.get(number, ())))
            for number, (kind, *rest) in enumerate(_rows(bundle.table(CHANGES_FILE), _CHANGE))
        ]
        seen: dict[int, list[Seen]] = {}
        for number, *rest in _rows(bundle.table(SEEN_FILE), ("read", *_names(Seen))):
            seen.setdefault(number, []).append(Seen(*rest))
        rows = _rows(bundle.table(READS_FILE), _READ)
        reads = [replace(RaceRead(*row), seen=tuple(seen.get(number, ()))) for number, row in enumerate(rows)]
        return Race(bundle.json(RACES_FILE)["chunk"], changes, reads)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{bundle.path} has no record of a race ({error!r}): record the case again") from None


def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


_CHANGE, _READ = _names(Change)[:-1], _names(RaceRead)[:-1]


def _table(names: Sequence[str], rows: Iterable[Sequence[int]]) -> Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return {name: np.array(column, np.int64) for name, column in zip(names, columns, strict=True)}


def _rows(table: Mapping[str, Any], names: Sequence[str]) -> Iterable[tuple[Any, ...]]:
    return zip(*(table[name].tolist() for name in names), strict=True)
