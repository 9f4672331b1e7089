# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel made of losses of power, against what was promised and what is predicted.

Of each loss:

- sound: the checker finds no damage in what the disks hold;
- acknowledged: of each sector that was written, the kernel shows the newest write that it had said to be
  durable, or a newer one, whole;
- content: it shows what the cache and the backing device hold, by the journal's last word;
- replay: it found as many keys and entries in the journal as the checker;
- dirty: what was dirty is dirty in its place after the set was stopped, or it is on the backing device;
- clean: what was cached is cached in its place, or the allocator has taken its bucket since;
- state: the device says to be dirty if its superblock did;
- stopped: the checker finds no damage after the set was stopped;
- damaged: with damage besides, it starts no set, or it does, as is expected;
- failing: where parts of the devices fail, reads return what is there, or fail, as is expected.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from harness.bcache.check import CheckedCache
from harness.bcache.crash.damages import damaged, refusal
from harness.bcache.crash.failing import backing_stamps, choose_bad, expected, requests
from harness.bcache.crash.moments import Disks, disk_at
from harness.bcache.crash.plan import batches
from harness.bcache.crash.predict import DATA_START, Prediction, checked_cache, places, predict
from harness.bcache.crash.record import CrashRecord, Recovery
from harness.bcache.crash.stamps import Stamps, stamps_of
from harness.bcache.crash.weaknesses import KEYS_FIRST, TORN_NODE, keys_before_data, tore_node
from harness.bcache.crash.write_log import SECTOR
from harness.verdicts import Check, Difference
from loopdevs.bcache_layout import DATA_OFFSET_BYTES

__all__ = ["CHECKS", "Counted", "floors", "judge_crashes", "judge_recovery"]

CHECKS = (
    "recovered",
    "sound",
    "acknowledged",
    "content",
    "replay",
    "dirty",
    "clean",
    "state",
    "stopped",
    "damaged",
    "failing",
)
_REPLAYED = re.compile(r"journal replay done, (\d+) keys in (\d+) entries, seq (\d+)")


@dataclass
class Counted:
    """One check over several losses of power."""

    compared: int = 0
    wrong: int = 0
    first: str = ""

    def add(self, compared: int, wrong: int, what: str) -> None:
        """Add what was compared in one of them; `what` describes what is wrong, if anything."""
        self.compared += compared
        self.wrong += wrong
        if wrong and not self.first:
            self.first = what


@dataclass
class _Tally:
    counted: dict[str, Counted] = field(default_factory=lambda: {name: Counted() for name in CHECKS})
    where: str = ""
    known: Counter[str] = field(default_factory=Counter)

    def add(self, name: str, compared: int, wrong: int, what: str = "") -> None:
        self.counted[name].add(compared, wrong, f"{self.where}: {what}")


def judge_crashes(record: CrashRecord) -> tuple[list[Check], Counter[str]]:
    """Judge all recoveries of a record: a check for each of `CHECKS` it has something for; known issues."""
    tally = _Tally()
    for number, recovery in enumerate(record.recoveries):
        tally.where = f"loss {number} ({recovery.moment.kind}, after {recovery.moment.position} entries)"
        _judge(record, recovery, tally)
    asked = {
        "dirty": record.plan.layout.cache_mode == "writeback",
        "damaged": any(r.damage for r in record.recoveries),
        "failing": any(r.reads is not None for r in record.recoveries),
    }
    checks = [_check(name, counted) for name, counted in tally.counted.items() if asked.get(name, True)]
    return checks, +tally.known


def judge_recovery(record: CrashRecord, recovery: Recovery) -> dict[str, Counted]:
    """Judge one recovery; what was compared by the name of the check."""
    tally = _Tally()
    _judge(record, recovery, tally)
    return tally.counted


def _check(name: str, counted: Counted) -> Check:
    first = Difference(summary=counted.first) if counted.first else None
    return Check.of(f"crash: {name}", counted.compared, counted.wrong, first=first)


def _judge(record: CrashRecord, recovery: Recovery, tally: _Tally) -> None:
    disk = disk_at(record.entries, recovery.moment, record.disks)
    if recovery.damage:
        _judge_damaged(damaged(disk, record.disks, recovery.damage), record.disks, recovery, tally)
        return
    predicted = predict(disk, record.disks)
    if recovery.reads is not None:
        _judge_failing(record, predicted, backing_stamps(disk, record.disks.cache_sectors), recovery, tally)
        return
    if tore_node(record, recovery.moment, predicted):
        _judge_refused(predicted, recovery, tally)
        return
    damage = predicted.checked.findings.damage
    tally.add("sound", 1, len(damage) > 0, str(damage[:3]))
    tally.add("recovered", 1, recovery.refused is not None, str(recovery.refused))
    if recovery.refused is not None or not predicted.checked.journal:
        return
    _judge_acknowledged(record, predicted, recovery, tally)
    _judge_content(predicted, recovery, tally)
    _judge_replay(predicted, recovery, tally)
    _judge_state(predicted, recovery, tally)
    _judge_after(predicted, recovery.disk_after(disk), record.disks, tally)


def _judge_damaged(disk: bytearray, disks: Disks, recovery: Recovery, tally: _Tally) -> None:
    """The kernel refuses what the checker says it would; the rest it shows as predicted."""
    predicted = predict(disk, disks)
    expected = refusal(predicted)
    refused = recovery.refused is not None
    said = any(expected in line for line in recovery.lines) if expected else not refused
    what = f"{recovery.damage}: refused {recovery.refused}, expected {expected}"
    tally.add("damaged", 1, refused != (expected is not None) or not said, what)
    if recovery.refused or expected:
        return
    _judge_content(predicted, recovery, tally)
    _judge_replay(predicted, recovery, tally)


def _judge_failing(
    record: CrashRecord, predicted: Prediction, backing: Stamps, recovery: Recovery, tally: _Tally
) -> None:
    """Each read returns what is there, or fails when it must: never what is older."""
    assert recovery.reads is not None
    block = record.plan.layout.block_bytes // SECTOR
    bad = choose_bad(predicted, block, recovery.moment.seed)
    asked = requests(predicted, bad, block, recovery.moment.seed)
    for request, read in zip(asked, recovery.reads, strict=True):
        right = expected(predicted, bad, backing, request)
        shown = "an error" if read is None else f"{list(read)}"
        what = f"{request}: {shown}, expected {right or 'an error'}"
        tally.add("failing", 1, right != (None if read is None else list(read)), what)


def floors(record: CrashRecord, position: int) -> Stamps:
    """Return of each sector the newest write that was acknowledged as durable in the log up to `position`."""
    flushed, single = _acknowledged(entry.mark for entry in record.entries[:position] if entry.mark)
    floor = np.zeros(record.disks.backing_sectors - DATA_START, np.int64)
    for batch in batches(record.plan, record.seed):
        for write in batch.writes:
            if write.number <= flushed or write.number in single:
                floor[write.sector : write.sector + write.sectors] = write.number
    return floor


def _acknowledged(marks: Iterator[str]) -> tuple[int, set[int]]:
    flushed, single = 0, set()
    for mark in marks:
        word, _, number = mark.partition("-")
        if word == "flushed":
            flushed = int(number)
        elif word == "fua":
            single |= set(map(int, number.split(".")))
    return flushed, single


def _judge_refused(predicted: Prediction, recovery: Recovery, tally: _Tally) -> None:
    """The kernel starts no set with a torn node; that it could is a known issue."""
    expected = refusal(predicted)
    said = expected is not None and any(expected in line for line in recovery.lines)
    what = f"refused: {recovery.refused}, expected for a torn node: {expected}"
    tally.add("recovered", 1, recovery.refused is None or not said, what)
    tally.known[TORN_NODE] += 1


def _judge_acknowledged(
    record: CrashRecord, predicted: Prediction, recovery: Recovery, tally: _Tally
) -> None:
    """Numbers grow with time, so what is older than the floor was overwritten by what was acknowledged."""
    floor = floors(record, recovery.moment.position)
    [older] = np.nonzero(recovery.stamps < floor)
    explained = keys_before_data(record, recovery.moment, predicted, older.tolist(), floor)
    tally.known[KEYS_FIRST] += len(explained)
    lost = np.setdiff1d(older, explained)
    what = _sectors(lost, recovery.stamps, floor, "was acknowledged")
    tally.add("acknowledged", int((floor > 0).sum()), len(lost), what)
    wrong = [sector for sector in _impossible(record, recovery.stamps) if sector not in explained]
    tally.add("acknowledged", 0, len(wrong), f"sectors {wrong[:3]} hold what nobody wrote there")


def _impossible(record: CrashRecord, stamps: Stamps) -> list[int]:
    """Return the sectors with a number of a write that did not reach there."""
    writes = {write.number: write for batch in batches(record.plan, record.seed) for write in batch.writes}

    def is_possible(sector: int, number: int) -> bool:
        write = writes.get(number)
        return write is not None and write.sector <= sector < write.sector + write.sectors

    written = np.nonzero(stamps)[0].tolist()
    return [sector for sector in written if not is_possible(sector, int(stamps[sector]))]


def _judge_content(predicted: Prediction, recovery: Recovery, tally: _Tally) -> None:
    [wrong] = np.nonzero(recovery.stamps != predicted.stamps)
    what = _sectors(wrong, recovery.stamps, predicted.stamps, "is predicted")
    tally.add("content", len(predicted.stamps), len(wrong), what)


def _sectors(sectors: NDArray[np.intp], shown: Stamps, other: Stamps, verb: str) -> str:
    if not len(sectors):
        return ""
    n = sectors[0]
    return f"{len(sectors)} sectors from {n} on: the kernel shows write {shown[n]}, {other[n]} {verb}"


def _judge_replay(predicted: Prediction, recovery: Recovery, tally: _Tally) -> None:
    said = [found for line in recovery.lines if (found := _REPLAYED.search(line))]
    numbers = [tuple(map(int, found.groups())) for found in said]
    right = numbers == [predicted.replay]
    tally.add("replay", 1, not right, f"keys, entries, number: {numbers}, predicted {predicted.replay}")


def _judge_state(predicted: Prediction, recovery: Recovery, tally: _Tally) -> None:
    """Without dirty data, writeback finds that out at any time, and says so."""
    may_be = {"dirty"} if predicted.said_dirty else {"clean"}
    if predicted.said_dirty and not predicted.dirty:
        may_be.add("clean")
    tally.add("state", 1, recovery.state not in may_be, f"{recovery.state!r}, predicted {may_be}")


def _judge_after(predicted: Prediction, after: bytearray, disks: Disks, tally: _Tally) -> None:
    checked = checked_cache(after, disks)
    damage = checked.findings.damage
    tally.add("stopped", 1, len(damage) > 0, str(damage[:3]))
    dirty, clean = places(checked, True), places(checked, False)
    written = stamps_of(after[disks.cache_sectors * SECTOR + DATA_OFFSET_BYTES :], 0)
    lost = [
        sector
        for sector, place in predicted.dirty.items()
        if dirty.get(sector) != place and written[sector] != predicted.stamps[sector]
    ]
    tally.add("dirty", len(predicted.dirty), len(lost), f"sectors {lost[:3]} are dirty nowhere")
    new = [sector for sector, place in dirty.items() if predicted.dirty.get(sector) != place]
    tally.add("dirty", 0, len(new), f"sectors {new[:3]} became dirty")
    gone = [
        sector
        for sector, place in predicted.clean.items()
        if clean.get(sector) != place and not _used_again(place, predicted.checked, checked)
    ]
    tally.add("clean", len(predicted.clean), len(gone), f"sectors {gone[:3]} are not where they were")


def _used_again(place: int, before: CheckedCache, after: CheckedCache) -> bool:
    """Whether the bucket of a sector of the cache has another gen (`__bch_invalidate_one_bucket`, alloc.c).

    The allocator makes buckets ready from the moment the set runs, also out of those with clean data.
    """
    if not before.buckets or not after.buckets:
        return False
    bucket = place // before.sb.bucket_size
    return before.buckets.gen(bucket) != after.buckets.gen(bucket)
