# SPDX-License-Identifier: GPL-2.0-or-later
"""What happens when a block has been read: those who want it get its children queued."""

from __future__ import annotations

from collections.abc import Iterator

from reference.machine import Steps
from reference.readahead.extents import reada_add_block, reada_extent_put
from reference.readahead.radix import PAGE_SHIFT
from reference.readahead.source import Key, Node
from reference.readahead.structs import (
    ATOMIC,
    RE_LOCK,
    READA_LOCK,
    BtrfsDevice,
    FsInfo,
    ReadaControl,
    ReadaExtctl,
    ReadaExtent,
)
from reference.readahead.work import reada_start_machine

__all__ = ["btree_readahead_hook", "kref_put_control", "readahead_hook", "readahead_hook_at"]


def btree_readahead_hook(fs_info: FsInfo, eb: Node | None, start: int, err: int) -> Steps[bool]:
    """Take note that the read of the block at `start` is over; called when it completes.

    `err` is 0 or a negative error number, `eb` the block if there was no error. Returns whether anybody
    wanted the block.
    """
    found = yield from readahead_hook_at(fs_info, eb, start, err)
    yield from reada_start_machine(fs_info)
    return found


def readahead_hook_at(fs_info: FsInfo, eb: Node | None, start: int, err: int) -> Steps[bool]:
    """Find the extent and do the hook's work: the seed's `__readahead_hook`, part of 5.10's caller."""
    yield READA_LOCK
    re = fs_info.reada_tree.lookup(start >> PAGE_SHIFT)
    if re is None:
        return False
    fs_info.extents.check(re)
    re.refcnt += 1
    for_dev = yield from readahead_hook(fs_info, re, eb, err)
    yield from reada_extent_put(fs_info, re)
    if for_dev is not None and fs_info.behaviour.in_flight_until_completion:
        yield ATOMIC
        for_dev.reada_in_flight -= 1
    return True


def readahead_hook(fs_info: FsInfo, re: ReadaExtent, eb: Node | None, err: int) -> Steps[BtrfsDevice | None]:
    """Queue the children of `re` that its controls want, and let go of it for each (`__readahead_hook`).

    An error cuts the branch. Returns the device that had picked it.
    """
    fs_info.observer.entered("__readahead_hook", re.logical, err)
    yield RE_LOCK
    fs_info.extents.check(re)
    wanting, re.extctl = re.extctl, []
    for_dev, re.scheduled_for = re.scheduled_for, None
    if err == 0 and eb is not None:
        yield from _queue_children(fs_info, re, eb, wanting)
    for rec in wanting:
        rc = rec.rc
        fs_info.extctls.died(rec)
        yield from _wants_no_more(fs_info, rc, re, err)
        yield from reada_extent_put(fs_info, re)
    fs_info.observer.returned("__readahead_hook", 0, re.logical)
    return for_dev


def _queue_children(fs_info: FsInfo, re: ReadaExtent, eb: Node, wanting: list[ReadaExtctl]) -> Steps[None]:
    for key, next_key, bytenr, generation in _children(eb, re.top):
        for rec in wanting:
            rc = rec.rc
            # A block of another generation than the parent said is not believed: the branch is cut.
            if rec.generation == eb.generation and key < rc.key_end and next_key > rc.key_start:
                yield from reada_add_block(fs_info, rc, bytenr, next_key, generation)


def _children(eb: Node, top: Key) -> Iterator[tuple[Key, Key, int, int]]:
    """Yield the first key, the key behind the last, the address and the generation of each child."""
    if eb.level == 0:
        return
    keys = eb.keys
    last = len(keys) - 1
    for slot, key in enumerate(keys):
        next_key = keys[slot + 1] if slot < last else top
        yield key, next_key, eb.blockptrs[slot], eb.ptr_generations[slot]


def _wants_no_more(fs_info: FsInfo, rc: ReadaControl, re: ReadaExtent, err: int) -> Steps[None]:
    fs_info.controls.check(rc)
    rc.refcnt += 1
    fs_info.observer.finished(rc, re.logical, err)
    yield ATOMIC
    rc.elems -= 1
    if rc.elems == 0:
        kref_put_control(fs_info, rc)
        rc.wait.wake_up()
    kref_put_control(fs_info, rc)


def kref_put_control(fs_info: FsInfo, rc: ReadaControl) -> None:
    """Drop a reference; with the last, the control is gone (`reada_control_release`)."""
    fs_info.controls.check(rc)
    rc.refcnt -= 1
    if rc.refcnt == 0:
        fs_info.controls.died(rc)
