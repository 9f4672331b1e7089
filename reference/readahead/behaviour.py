# SPDX-License-Identifier: GPL-2.0-or-later
"""The named differences between the readahead engine as posted in 2011 and as 5.10 ships it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

__all__ = ["BTRFS_MAX_MIRRORS", "MAX_IN_FLIGHT", "Behaviour"]

MAX_IN_FLIGHT = 6
"""Reads that a device may have in flight (fs/btrfs/reada.c, both)."""
BTRFS_MAX_MIRRORS = 5
"""fs/btrfs/ctree.h of 5.10: 4 copies and a replace target. The seed has its own MAX_MIRRORS, 2."""


@dataclass(frozen=True)
class Behaviour:
    """What fs/btrfs/reada.c does differently from version to version. Without arguments: 5.10.

    "Seed" is the patch series v5 of 2011 (initial code: 7414a03fbf9e "btrfs: initial readahead code and
    prototypes"), "5.10" the file as Debian's 5.10.262 has it. Where no commit is named, the difference was
    read from the two files and stands in the function that is named.

    What differs without any effect is left out. A zone's end counts as outside in the seed (`logical <
    zone->end`), but no block begins at a last byte. `level` and `blocksize` went with blocks of different
    sizes.
    """

    max_mirrors: int = BTRFS_MAX_MIRRORS
    """A block with more copies is not read ahead (`reada_find_extent`). Seed: 2."""

    in_flight_until_completion: bool = False
    """`reada_in_flight` goes down when the read completes, so MAX_IN_FLIGHT holds. In 5.10 it goes down when
    the read has been submitted (`reada_start_machine_dev`), so it limits nothing but submitters at work.
    Up to 4.5: "btrfs: reada: simplify dev->reada_in_flight processing" (the parent of 2fefd5583f8b)."""

    dup_meets_eexist: bool = False
    """Both copies of DUP are put into the one device's tree; the second meets -EEXIST, and the block is not
    read ahead at all. Up to 3.3: 207a232ccac0 "btrfs: don't add both copies of DUP to reada extent tree"."""

    reads_unwanted: bool = False
    """An extent whose `extctl` is empty is read as well: one whose hook has not let go of it yet. Up to 3.3:
    "btrfs: fix race in reada" (the parent of 207a232ccac0)."""

    hook_finds_extent: bool = False
    """`reada_start_machine_dev` lets go of the extent before it submits the read, and `__readahead_hook`
    finds it again by its address, if it is still there. 5.10 keeps the reference and hands it to the hook."""

    looks_again_late: bool = False
    """Who meets an extent that another has just put into the tree undoes its own before it looks for the
    other's; if that is gone by then, the block is not read ahead. 5.10 takes it under the same lock."""

    reads_missing_devices: bool = False
    """A missing device gets zones and extents as others do, and its reads fail. 5.10 leaves out devices
    without `bdev` (`reada_find_extent`)."""

    stops_at_zoneless_copy: bool = False
    """A copy for which no zone can be made hides the copies after it (`break`, 5.10: `continue` in
    `reada_find_extent`)."""

    knows_replace: bool = True
    """Leaves out the target of a replace, and devices that are being removed (BTRFS_DEV_STATE_NO_READA).
    The latter since 5.9: 66d204a16c94 "btrfs: fix readahead hang and use-after-free after removing a
    device"."""

    picks_alone: bool = True
    """`__reada_start_machine` picks under `device_list_mutex`, so one worker at a time does."""

    walks_seed_devices: bool = True
    """`__reada_start_machine` also walks the devices of seed file systems (`reada_start_for_fsdevs`)."""

    respawns_after_any: bool = True
    """A worker that read anything queues another (`__reada_start_machine` looks at the sum that
    `reada_start_for_fsdevs` returns). The seed looks at the last round, so it does after 10,000 only."""

    max_works: int | None = 2 * BTRFS_MAX_MIRRORS
    """A worker queues a second one only while there are no more than so many. None (seed): always. Since
    4.6: 2fefd5583f8b "btrfs: reada: limit max works count"."""

    wait_restarts: bool = True
    """`btrfs_reada_wait` wakes up every 100 ms, and starts a worker when there is none. Since 4.6:
    4fe7a0e13864 "btrfs: reada: avoid undone reada extents in btrfs_reada_wait"."""

    add_can_fail: bool = True
    """`btrfs_reada_add` fails where the root cannot be queued. The seed returns a handle with nothing to
    wait for, and loses a reference of it."""

    seed_2011: ClassVar[Behaviour]
    """The series v5 as posted in 2011."""
    linux_5_10: ClassVar[Behaviour]
    """5.10; read from Debian's 5.10.262."""

    def __fingerprint__(self) -> object:
        """It never changes, so no state differs by it."""
        return None

    @property
    def name(self) -> str:
        """The name of the constant, or of the fields that differ from 5.10.

        >>> Behaviour.seed_2011.name, Behaviour(reads_unwanted=True).name
        ('seed_2011', 'reads_unwanted')
        """
        named = {"seed_2011": Behaviour.seed_2011, "linux_5_10": Behaviour.linux_5_10}
        differing = (
            field.name
            for field in fields(self)
            if getattr(self, field.name) != getattr(Behaviour.linux_5_10, field.name)
        )
        return next((name for name, value in named.items() if value == self), "+".join(differing))


Behaviour.linux_5_10 = Behaviour()
Behaviour.seed_2011 = Behaviour(
    max_mirrors=2,
    in_flight_until_completion=True,
    dup_meets_eexist=True,
    reads_unwanted=True,
    hook_finds_extent=True,
    looks_again_late=True,
    reads_missing_devices=True,
    stops_at_zoneless_copy=True,
    knows_replace=False,
    picks_alone=False,
    walks_seed_devices=False,
    respawns_after_any=False,
    max_works=None,
    wait_restarts=False,
    add_can_fail=False,
)
