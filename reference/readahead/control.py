# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine's interface: add a readahead, wait for it or send it away; take a device out."""

from __future__ import annotations

from reference.machine import Blocked, Steps
from reference.readahead.extents import reada_add_block
from reference.readahead.hook import kref_put_control
from reference.readahead.source import MAX_KEY, Key, Root
from reference.readahead.structs import ATOMIC, READA_LOCK, BtrfsDevice, FsInfo, ReadaControl
from reference.readahead.work import reada_start_machine

__all__ = [
    "btrfs_reada_add",
    "btrfs_reada_detach",
    "btrfs_reada_remove_dev",
    "btrfs_reada_undo_remove_dev",
    "btrfs_reada_wait",
]


def btrfs_reada_add(fs_info: FsInfo, root: Root, key_start: Key, key_end: Key) -> Steps[ReadaControl | None]:
    """Begin to read ahead the keys from `key_start` up to but not including `key_end` of the tree of `root`.

    None, the C's ERR_PTR, if the root cannot be queued (behaviour `add_can_fail`).
    """
    rc = ReadaControl(key_start, key_end)
    fs_info.controls.born(rc)
    queued = yield from reada_add_block(fs_info, rc, root.bytenr, MAX_KEY, root.generation)
    if not queued and fs_info.behaviour.add_can_fail:
        fs_info.controls.died(rc)
        return None
    yield from reada_start_machine(fs_info)
    return rc


def btrfs_reada_wait(fs_info: FsInfo, rc: ReadaControl) -> Steps[None]:
    """Wait until nothing is left to be read for `rc`, and let go of it."""
    fs_info.controls.check(rc)
    while rc.elems:
        if fs_info.behaviour.wait_restarts:
            if not fs_info.reada_works_cnt:
                yield from reada_start_machine(fs_info)
            # The time-out of 100 ms can change something only when no work is left.
            yield Blocked(
                lambda: not rc.elems or not fs_info.reada_works_cnt,
                "wait_event_timeout(rc->wait, rc->elems == 0)",
                until=lambda: not rc.elems,
            )
        else:
            yield from rc.wait.wait_event(lambda: not rc.elems)
    yield ATOMIC
    kref_put_control(fs_info, rc)


def btrfs_reada_detach(fs_info: FsInfo, rc: ReadaControl) -> Steps[None]:
    """Let go of `rc`, which goes on without anybody waiting."""
    yield ATOMIC
    kref_put_control(fs_info, rc)


def btrfs_reada_remove_dev(fs_info: FsInfo, dev: BtrfsDevice) -> Steps[None]:
    """Let no more extents into the tree of `dev`, and wait until the works are done (5.9 and later)."""
    yield READA_LOCK
    dev.no_reada = True
    yield from reada_start_machine(fs_info)
    # btrfs_flush_workqueue: the works that there are.
    yield Blocked(lambda: not fs_info.reada_works_cnt, "btrfs_flush_workqueue(readahead_workers)")


def btrfs_reada_undo_remove_dev(dev: BtrfsDevice) -> Steps[None]:
    """Let `dev` take part again (5.9 and later)."""
    yield READA_LOCK
    dev.no_reada = False
