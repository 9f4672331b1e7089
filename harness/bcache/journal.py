# SPDX-License-Identifier: GPL-2.0-or-later
"""The journal: which entries a kernel would find, which of them it needs, and whether they are all there."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from harness.bcache.device import Device, UnreadableError
from harness.bcache.findings import Findings, Invariant, Place
from reference.bcache.bkey import Bkey
from reference.bcache.geometry import PAGE_BYTES, SECTOR, Geometry
from reference.bcache.ondisk import (
    BCACHE_JSET_VERSION,
    JSET_HEADER,
    JSET_MAGIC,
    BrokenKeyError,
    Jset,
    keys_of,
)
from reference.bcache.superblock import CacheSb

__all__ = ["Entry", "Journal", "read_journal"]

JSET_BYTES_MAX = PAGE_BYTES << 3
"""The kernel's buffer for one entry: PAGE_SIZE << JSET_BITS."""


@dataclass(frozen=True)
class Entry:
    """A journal entry and where it is."""

    jset: Jset
    place: Place


@dataclass(frozen=True)
class Journal:
    """The entries to be replayed, oldest first; the last one is the newest."""

    entries: list[Entry]

    @property
    def newest(self) -> Jset:
        """The entry that knows where the root, the uuids and the prios are."""
        return self.entries[-1].jset

    def keys(self, geometry: Geometry, findings: Findings) -> list[tuple[Bkey, Place]]:
        """Return the keys to be replayed, in order, and note the broken ones (`bch_journal_mark`).

        A kernel would replay those with bad pointers as well; they are left out.
        """
        found = []
        for entry in self.entries:
            for index, k in enumerate(_keys(entry, findings)):
                place = Place("journal", entry.place.bucket, entry.place.block, None, index, entry.jset.seq)
                bad = "zeroed key" if not k.size else geometry.extent_status(k)
                if bad:
                    findings.add(Invariant.JOURNAL_KEY, place, f"{k}: {bad}")
                else:
                    found.append((k, place))
        return found


def read_journal(device: Device, sb: CacheSb, findings: Findings) -> Journal | None:
    """Read all journal buckets, and return what has to be replayed; None when there is no entry at all.

    `bch_journal_read`, journal.c. The kernel guesses which buckets it need not read; this reads all.
    """
    geometry = Geometry.of(sb)
    reader = _Reader(device, geometry, sb.set_magic ^ JSET_MAGIC)
    for bucket in sb.d:
        reader.read_bucket(bucket, findings)
    if not reader.entries:
        findings.add(Invariant.JOURNAL_NEWEST, Place("journal"), "there is no entry in it")
        return None
    newest = reader.entries[max(reader.entries)]
    last_seq = newest.jset.last_seq
    if last_seq > newest.jset.seq:
        findings.add(
            Invariant.JOURNAL_NEWEST,
            newest.place,
            f"the newest entry needs entry {last_seq}, which is newer than itself",
        )
        last_seq = newest.jset.seq
    # A torn entry stays where it is when its number is given to the next that is written.
    broken = [entry for entry in reader.broken if entry.seq not in reader.entries]
    _judge_broken(broken, last_seq, newest.jset.seq, findings)
    needed = [reader.entries[seq] for seq in sorted(reader.entries) if seq >= last_seq]
    _check_complete(needed, last_seq, findings)
    for entry in needed:
        if entry.jset.version > BCACHE_JSET_VERSION:
            message = f"version {entry.jset.version} is unknown; the kernel does not look"
            findings.add(Invariant.JOURNAL_ENTRY, entry.place, message)
    return Journal(needed)


@dataclass(frozen=True)
class _Broken:
    """An entry that is not what it should be; the kernel reads no further in its bucket."""

    seq: int
    place: Place
    why: str
    hidden: int
    """The newest entry that stands after it in the bucket, 0 for none."""


class _Reader:
    """Reads entries as they follow each other in a bucket (`journal_read_bucket`)."""

    def __init__(self, device: Device, geometry: Geometry, magic: int) -> None:
        self.device = device
        self.geometry = geometry
        self.magic = magic
        self.entries: dict[int, Entry] = {}
        self.broken: list[_Broken] = []

    def read_bucket(self, bucket: int, findings: Findings) -> None:
        """Read the entries of a bucket, as far as they are whole."""
        size = self.geometry.bucket_size * SECTOR
        try:
            data = self.device.read(bucket * size, size)
        except UnreadableError as error:
            findings.add(Invariant.READABLE, Place("journal", bucket), str(error))
            return
        offset = 0
        while offset + JSET_HEADER <= size:
            place = self._place(data, offset, bucket)
            read = self._entry(data, offset)
            if isinstance(read, str):
                hidden = self._newest_after(data, offset)
                self.broken.append(_Broken(place.seq or 0, place, read, hidden))
                return
            self.entries.setdefault(read.seq, Entry(read, place))
            blocks = self.geometry.blocks(JSET_HEADER, len(read.words))
            offset += blocks * self.geometry.block_bytes

    def _place(self, data: bytes, offset: int, bucket: int) -> Place:
        magic, seq, _ = Jset.length(data, offset)
        block = offset // self.geometry.block_bytes
        return Place("journal", bucket, block, seq=seq if magic == self.magic else None)

    def _entry(self, data: bytes, offset: int) -> Jset | str:
        """Return the entry at `offset`, or what is wrong with it."""
        magic, _, length = Jset.length(data, offset)
        if magic != self.magic:
            return "no entry begins here"
        if length > min(len(data) - offset, JSET_BYTES_MAX):
            return f"too big, {length} bytes"
        jset = Jset.from_bytes(data, offset)
        if jset.csum != jset.computed_csum:
            return f"checksum {jset.csum:#x}, computed {jset.computed_csum:#x}"
        return jset

    def _newest_after(self, data: bytes, broken: int) -> int:
        newest = 0
        step = self.geometry.block_bytes
        for offset in range(broken + step, len(data) - JSET_HEADER + 1, step):
            read = self._entry(data, offset)
            if isinstance(read, Jset):
                newest = max(newest, read.seq)
        return newest


def _judge_broken(broken: list[_Broken], last_seq: int, newest: int, findings: Findings) -> None:
    """Tell what a crash may have torn from what is damaged; what was needed no more does not matter."""
    for entry in broken:
        if entry.hidden > max(entry.seq, newest):
            lost = f"the kernel does not see it nor what follows, up to entry {entry.hidden}"
            findings.add(Invariant.JOURNAL_ENTRY, entry.place, f"{entry.why}: {lost}")
        elif entry.seq > newest:
            message = f"{entry.why}; the kernel goes on with entry {newest}"
            findings.add(Invariant.JOURNAL_TORN, entry.place, message)
        elif entry.seq >= last_seq:
            findings.add(Invariant.JOURNAL_ENTRY, entry.place, entry.why)


def _check_complete(needed: list[Entry], last_seq: int, findings: Findings) -> None:
    """`bch_journal_replay`: it refuses to run when entries are missing."""
    numbers = [last_seq - 1, *(entry.jset.seq for entry in needed)]
    for before, after in pairwise(numbers):
        if after != before + 1:
            findings.add(
                Invariant.JOURNAL_COMPLETE,
                Place("journal"),
                f"entries {before + 1} to {after - 1} are missing: the kernel does not start the set",
            )


def _keys(entry: Entry, findings: Findings) -> list[Bkey]:
    found = []
    try:
        for k in keys_of(entry.jset.words):
            found.append(k)  # noqa: PERF402  # those before the broken one are kept
    except BrokenKeyError as broken:
        place = Place("journal", entry.place.bucket, entry.place.block, None, len(found), entry.jset.seq)
        findings.add(Invariant.JOURNAL_KEY, place, f"a key at word {broken.index} ends after its entry")
    return found
