# SPDX-License-Identifier: GPL-2.0-or-later
"""What probes on the kernel's readahead engine saw, as columns; one row an event, in total order.

The order of the rows is that in which the probes fired: a number drawn in the probe, or one ring. `pid` is
the thread, `err` 0 or negative, `end` inclusive, `next` is reada_next, `rc` a control's address. What a kind
does not say is 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.bundle import Bundle, BundleWriter, Table
from harness.errors import UserError
from reference.readahead import Key

__all__ = [
    "COLUMNS",
    "EVENTS_FILE",
    "REQUESTS_FILE",
    "Event",
    "Kind",
    "Request",
    "events_of",
    "load_requests",
    "save_record",
    "table_of",
]

EVENTS_FILE = "readahead_events.npz"
REQUESTS_FILE = "readahead_requests.json"


class Kind(IntEnum):
    """What a row tells of. The functions are of fs/btrfs/reada.c, that of SUBMIT of extent_io.c."""

    ADD = 1
    """Before btrfs_reada_add(): logical of the root, value: its generation, start: number of the request."""
    ADD_RETURN = 2
    """After it: rc, or value: negative error."""
    WAIT = 3
    """Before btrfs_reada_wait(): rc."""
    WAIT_RETURN = 4
    """After it: rc."""
    DETACH = 5
    """Before btrfs_reada_detach(): rc."""
    DEV_ENTER = 6
    """reada_start_machine_dev() entered: devid; start, end, locked of reada_curr_zone (all 0: none); next."""
    DEV_RETURN = 7
    """It returns: the same fields as they are then, value: what it returns."""
    SUBMIT = 8
    """read_extent_buffer_pages() with wait == WAIT_PAGE_LOCK entered: logical, mirror."""
    HOOK = 9
    """btree_readahead_hook() entered: logical, err."""
    HOOK_RETURN = 10
    """It returns: value."""
    WALK = 11
    """The traditional walk begins: start: number of the request."""
    WALK_END = 12
    """It is over: start: number of the request."""
    WORKER = 13
    """reada_start_machine_worker() entered."""
    WORKER_END = 14
    """It returns."""
    PICK = 15
    """reada_pick_zone() entered, so under reada_lock: the fields of DEV_ENTER."""
    ZONE = 16
    """A zone in the device's reada_zones at PICK, a row each, ascending: devid, start, end, locked,
    value: elems."""
    PICK_RETURN = 17
    """reada_pick_zone() returns: the fields of DEV_RETURN."""
    BLOCK = 18
    """reada_add_block() entered: rc, logical, value: generation."""
    BLOCK_RETURN = 19
    """It returns: value."""
    HOOK_WORK = 20
    """__readahead_hook() entered, by btree_readahead_hook() or at once by who submitted: logical, err."""
    HOOK_WORK_END = 21
    """It returns."""
    PUT = 22
    """reada_extent_put() entered: logical."""
    START = 23
    """reada_start_machine() entered."""


COLUMNS: Mapping[str, type[np.integer[Any]]] = {
    "time_ns": np.uint64,
    "kind": np.uint8,
    "cpu": np.uint16,
    "pid": np.uint32,
    "devid": np.uint32,
    "logical": np.uint64,
    "mirror": np.uint8,
    "err": np.int32,
    "start": np.uint64,
    "end": np.uint64,
    "locked": np.uint8,
    "next": np.uint64,
    "rc": np.uint64,
    "value": np.int64,
}


class Event(NamedTuple):
    """One row."""

    time_ns: int
    kind: int
    cpu: int = 0
    pid: int = 0
    devid: int = 0
    logical: int = 0
    mirror: int = 0
    err: int = 0
    start: int = 0
    end: int = 0
    locked: int = 0
    next: int = 0
    rc: int = 0
    value: int = 0


class Request(NamedTuple):
    """What the case asked for; events name it by its place in the list."""

    tree: int
    """Object id of the tree's root: 2 is the extent tree."""
    key_start: Key
    key_end: Key
    """Exclusive."""


def table_of(rows: Iterable[Event]) -> Table:
    """Return the columns of `rows`."""
    columns = list(zip(*rows, strict=True)) or [()] * len(COLUMNS)
    return {
        name: np.array(column, dtype) for (name, dtype), column in zip(COLUMNS.items(), columns, strict=True)
    }


def save_record(writer: BundleWriter, events: Table, requests: Iterable[Request]) -> None:
    """Put the columns `COLUMNS` and the requests into a bundle."""
    writer.add_table(EVENTS_FILE, {name: events[name].astype(dtype) for name, dtype in COLUMNS.items()})
    writer.add_json(REQUESTS_FILE, [[one.tree, list(one.key_start), list(one.key_end)] for one in requests])


def load_requests(bundle: Bundle) -> list[Request]:
    """Return what the case asked for; UserError if the file is not what `save_record` writes."""
    try:
        return [
            Request(int(tree), Key(*map(int, start)), Key(*map(int, end)))
            for tree, start, end in bundle.json(REQUESTS_FILE)
        ]
    except (TypeError, ValueError) as error:
        raise _malformed(bundle, REQUESTS_FILE, f"no list of [tree, start, end] ({error})") from None


def events_of(bundle: Bundle) -> list[Event]:
    """Return the rows; UserError if columns are missing, differ in length, or a kind is unknown."""
    table = bundle.table(EVENTS_FILE)
    if missing := COLUMNS.keys() - table.keys():
        raise _malformed(bundle, EVENTS_FILE, f"no column {min(missing)}")
    lengths = {len(table[name]) for name in COLUMNS}
    if len(lengths) != 1:
        raise _malformed(bundle, EVENTS_FILE, f"columns of {min(lengths)} and of {max(lengths)} rows")
    _check_kinds(bundle, table["kind"])
    return list(map(Event, *(table[name].tolist() for name in COLUMNS)))


def _check_kinds(bundle: Bundle, kinds: NDArray[np.uint8]) -> None:
    unknown = np.flatnonzero(~np.isin(kinds, [int(kind) for kind in Kind]))
    if len(unknown):
        row = int(unknown[0])
        raise _malformed(bundle, EVENTS_FILE, f"event {row:,} is of kind {int(kinds[row])}, unknown here")


def _malformed(bundle: Bundle, file: str, what: str) -> UserError:
    return UserError(f"{bundle.path / file}: {what}: record the case again")
