# SPDX-License-Identifier: GPL-2.0-or-later
"""What can be wrong with a cache device, numbered, and where on it something is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any

__all__ = ["NOTES", "Finding", "Findings", "Invariant", "Place"]


class Invariant(IntEnum):
    """What has to hold. The numbers are stable: scripts may rely on them."""

    SUPERBLOCK = 1
    """The kernel accepts the superblock."""
    READABLE = 2
    """What is needed can be read."""

    JOURNAL_ENTRY = 10
    """A journal entry that is needed has its checksum, its version and a possible length."""
    JOURNAL_COMPLETE = 11
    """No entry is missing between the oldest that is needed and the newest."""
    JOURNAL_NEWEST = 12
    """There is a newest entry, and it needs none newer than itself."""
    JOURNAL_KEY = 13
    """Keys of the journal end within their entry and point into the cache."""
    JOURNAL_TORN = 14
    """Note: an entry with a bad checksum that would be the newest: a crash tore it, or it is damaged."""

    ROOT = 20
    """The journal's pointer to the root is valid, and the root's key is the largest."""
    UUIDS = 21
    """The journal's pointer to the uuids is valid, and no device is there twice."""
    KNOWN_DEVICE = 22
    """Extents are of devices that the set knows."""
    FORGOTTEN_DEVICE = 23
    """Note: extents of a device that was detached."""

    PRIO_CSUM = 30
    """A prio set has its checksum."""
    PRIO_MAGIC = 31
    """A prio set has its magic number."""
    PRIO_CHAIN = 32
    """The prio sets point from one to the next, within the cache and never back."""
    PRIO_SEQ = 33
    """The prio sets were written together."""

    NODE_SEQ = 40
    """The first bset of a node has a number that is not 0 ("bad btree header")."""
    NODE_VERSION = 41
    """A bset has a version that is known ("unsupported bset version")."""
    NODE_LENGTH = 42
    """The bsets end within their node ("bad btree header")."""
    NODE_MAGIC = 43
    """A bset has its magic number ("bad magic")."""
    NODE_CSUM = 44
    """A bset has its checksum ("bad checksum")."""
    NODE_EMPTY_SET = 45
    """No bset but the first is without keys ("empty set")."""
    NODE_LOST_SET = 46
    """No bset of the node comes after its end ("corrupted btree")."""

    BSET_KEY_FITS = 50
    """Keys end within their bset."""
    BSET_ORDER = 51
    """Within a bset keys are in order."""
    BSET_OVERLAP = 52
    """Within a bset extents do not overlap."""
    EXTENT = 53
    """Extents have sectors of their device, and point to as many in one bucket of the cache."""
    NODE_POINTER = 54
    """Pointers to nodes point to sectors of one bucket of the cache."""
    KEY_AFTER_NODE = 55
    """No key is after the key of its node ("short btree key")."""
    KEY_BEFORE_NODE = 56
    """No extent begins before what the node before it ends with."""
    LAST_CHILD = 57
    """The last child of a node ends where the node does."""
    DUPLICATE_CHILD = 58
    """No two children of a node end at the same place."""
    ONE_PARENT = 59
    """No bucket holds a node twice."""

    TOO_STALE = 60
    """No pointer is more than 96 gens behind its bucket."""
    FUTURE_GEN = 61
    """No pointer has a gen that its bucket has not had."""
    STALE_DIRTY = 62
    """No dirty extent lies in a bucket that was reused: its data are lost."""
    STALE_DIRTY_REPLAYED = 63
    """Note: the journal brings back a dirty extent of a reused bucket; it was written back before that."""
    DATA_SHARED = 64
    """No two extents lie in the same sectors of the cache."""
    METADATA_SHARED = 65
    """No bucket holds both data and metadata, or metadata of two kinds."""


NOTES = {Invariant.JOURNAL_TORN, Invariant.FORGOTTEN_DEVICE, Invariant.STALE_DIRTY_REPLAYED}
"""What is told but is no damage."""


@dataclass(frozen=True)
class Place:
    """Where on the device: as much of it as is known."""

    what: str = ""
    """"journal", "prios", "uuids", "node"…"""
    bucket: int | None = None
    block: int | None = None
    """Of the bucket's blocks, the first of the set that is meant."""
    bset: int | None = None
    """Of the node's bsets, counted from 0."""
    key: int | None = None
    """Of the keys of the set, counted from 0."""
    seq: int | None = None
    """Of the journal entry."""

    def __str__(self) -> str:
        named = ("bucket", self.bucket), ("block", self.block), ("bset", self.bset), ("key", self.key)
        parts = [f"{name} {value}" for name, value in (("entry", self.seq), *named) if value is not None]
        return ", ".join([self.what, *parts] if self.what else parts)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or to be known."""

    invariant: Invariant
    place: Place
    message: str

    @property
    def is_damage(self) -> bool:
        """Whether the device is not as it has to be."""
        return self.invariant not in NOTES

    def to_json(self) -> dict[str, Any]:
        """Return it with names and numbers for scripts."""
        return {
            "invariant": int(self.invariant),
            "name": self.invariant.name,
            "damage": self.is_damage,
            "place": {name: value for name, value in asdict(self.place).items() if value not in (None, "")},
            "message": self.message,
        }

    def __str__(self) -> str:
        kind = "damage" if self.is_damage else "note"
        return f"{kind} {int(self.invariant)} {self.invariant.name}: {self.place}: {self.message}"


class Findings(list[Finding]):
    """Findings in the order in which they were met."""

    def add(self, invariant: Invariant, place: Place, message: str) -> None:
        """Note that `invariant` does not hold at `place`."""
        self.append(Finding(invariant, place, message))

    @property
    def damage(self) -> list[Finding]:
        """The findings that are damage."""
        return [finding for finding in self if finding.is_damage]
