# SPDX-License-Identifier: GPL-2.0-or-later
"""What bcache cannot stand, though disks may do it: known issues, told apart from what nothing explains.

- Nodes are written with FUA, but without a flush before (`do_btree_node_write`, btree.c): a key can be
  durable before the data it points to are, which are still in the disk's cache. After a loss of power the
  sector shows what was in that place of the cache before: not what was written last, nor what was flushed.
- A node's set of several sectors, of which a loss of power leaves the first and not all others, has a bad
  checksum: the kernel starts no such set (`bch_btree_node_read_done`), though the journal has its keys.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.bcache.crash.moments import Moment
from harness.bcache.crash.predict import Prediction
from harness.bcache.crash.record import CrashRecord
from harness.bcache.crash.stamps import Stamps, stamps_of
from harness.bcache.crash.write_log import SECTOR
from harness.bcache.findings import Invariant

__all__ = ["KEYS_FIRST", "TORN_NODE", "keys_before_data", "tore_node"]

KEYS_FIRST = "sectors lost to keys that were durable before their data"
TORN_NODE = "sets refused for a torn write of a node"


def tore_node(record: CrashRecord, moment: Moment, predicted: Prediction) -> bool:
    """Whether the only damage is to the node whose write was torn."""
    damage = predicted.checked.findings.damage
    if moment.kind != "torn" or not damage:
        return False
    torn = record.entries[moment.position]
    bucket = torn.sector // predicted.checked.sb.bucket_size
    return torn.sectors > 1 and all(
        found.invariant in (Invariant.NODE_CSUM, Invariant.NODE_SEQ, Invariant.LAST_CHILD)
        and found.place.bucket == bucket
        for found in damage
    )


def keys_before_data(
    record: CrashRecord, moment: Moment, predicted: Prediction, lost: Sequence[int], floor: Stamps
) -> list[int]:
    """Return those of the `lost` sectors whose key points to data that were written, and not yet durable."""
    late = _late_data(record, moment)
    explained = []
    for sector in lost:
        place = predicted.dirty.get(sector, predicted.clean.get(sector))
        if place is not None and any(number > floor[sector] for number in late.get((place, sector), ())):
            explained.append(sector)
    return explained


def _late_data(record: CrashRecord, moment: Moment) -> dict[tuple[int, int], list[int]]:
    """Return the writes that were in the cache device's own cache: by place and sector, their numbers.

    What the log has up to the next flush, or one more, had been written by then.
    """
    late: dict[tuple[int, int], list[int]] = {}
    flushes = 0
    for entry in record.entries[moment.position :]:
        flushes += entry.is_flush
        if flushes > _FLUSHES:
            break
        if entry.waits_for_flush and entry.data and entry.sector < record.disks.cache_sectors:
            for n in range(entry.sectors):
                number, sector = _stamp(entry.data[n * SECTOR : (n + 1) * SECTOR])
                late.setdefault((entry.sector + n, sector), []).append(number)
    return late


_FLUSHES = 2


def _stamp(data: bytes) -> tuple[int, int]:
    """Return number and sector of a stamped sector; 0 and -1 of others."""
    sector = int.from_bytes(data[8:16], "little")
    if sector >= 1 << 40:
        return 0, -1
    number = int(stamps_of(data, sector)[0])
    return (number, sector) if number > 0 else (0, -1)
