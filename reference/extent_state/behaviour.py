# SPDX-License-Identifier: GPL-2.0-or-later
"""The named differences between kernels in what the extent-io-tree does, and how a kernel shows them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import ClassVar, NamedTuple

__all__ = ["FEATURES", "Behaviour", "UnknownBehaviourError"]


class UnknownBehaviourError(ValueError):
    """What a kernel has fits none of the histories that the model knows."""


@dataclass(frozen=True)
class Behaviour:
    """What an extent-io-tree, and who locks a range of it, does differently from kernel to kernel.

    Except for `locks_alone` no field changes which bits a range has in the end, as long as one task works
    alone and no convert clears what it sets. They change how long the lock is held, so what can come in
    between, how many states are allocated, which of them survive, and how a refused lock is repeated.
    """

    locks_alone: bool = False
    """EXTENT_LOCKED is refused only to who asks for nothing else: what excludes is an argument of its own
    (`exclusive_bits` of `__set_extent_bit`), which `lock_extent_bits` and `try_lock_extent` pass. 5.10 sets
    EXTENT_LOCKED with EXTENT_DIRTY in INODE_IO_FAILURE trees. Up to 6.0: c07d1004c55c "btrfs: drop
    exclusive_bits from set_extent_bit"."""

    keeps_what_it_locked: bool = False
    """Who is refused a lock in the middle of a range keeps what it got and goes on from there, instead of
    unlocking it and starting over. Nothing that the tree does: the judge reads from it which locks were
    refused. Up to 6.0: 9e769bd7e5db "btrfs: unlock locked extent area if we have contention"."""

    inserts_before_merging: bool = False
    """What fills a hole becomes a state, which then takes in its equal neighbours (`insert_state`, then
    `merge_state`); later one of the neighbours grows and the preallocated state is not used. Up to 6.6:
    c91ea4bfa6dd "btrfs: make extent state merges more efficient during insertions"."""

    releases_in_order: bool = False
    """A released tree frees its first state first, instead of children before parents. Up to 6.6:
    63ffc1f7c492 "btrfs: make tree iteration in extent_io_tree_release() more efficient"."""

    searches_again: bool = False
    """Drops the lock and searches again after each hole filled, after each head split off by a clear, and
    before a last single byte. Later it goes on under the same lock, from the end of the state that took in
    the hole, and after clearing a state looks no further than the end of the range. Up to 6.15: the series
    "btrfs: some io tree optimizations and cleanups" (April 2025), with aa2c80a9ae27 "btrfs: avoid
    re-searching tree when setting bits in an extent range" and 6c28102f9ac4 "btrfs: avoid extra tree search
    at btrfs_clear_extent_bit_changeset()"."""

    trims_in_place: bool = False
    """Clearing all the bits of one end of a state moves that end, instead of splitting the state and erasing
    a half. From 7.1 on: 031dd12c3707 "btrfs: optimize clearing all bits from first extent record in an io
    tree" and aa40d5601e66, the same for the last one."""

    linux_5_10: ClassVar[Behaviour]
    """5.10 to 6.0; read and compiled from Debian's 5.10.262."""
    linux_6_1: ClassVar[Behaviour]
    """6.1 to 6.6; Debian's 6.1.192."""
    linux_6_12: ClassVar[Behaviour]
    """6.7 to 6.15; Debian's 6.12.117."""
    linux_6_18: ClassVar[Behaviour]
    """6.16 to 7.0; recorded on 6.18.44."""
    linux_7_2: ClassVar[Behaviour]
    """7.1 and 7.2; Debian's 7.2.13."""

    @property
    def name(self) -> str:
        """The name of the constant, or of what differs from 6.18.

        >>> Behaviour.linux_6_12.name, Behaviour(locks_alone=True).name
        ('linux_6_12', 'locks_alone')
        """
        named = (name for name in Behaviour.__annotations__ if name.startswith("linux_"))
        differing = (field.name for field in fields(self) if getattr(self, field.name))
        return next((name for name in named if getattr(Behaviour, name) == self), "+".join(differing))

    @classmethod
    def of(cls, features: Collection[str]) -> Behaviour:
        """Return the behaviour of a kernel that has these of the `FEATURES`.

        Raises UnknownBehaviourError where they fit no known history: symbols were not to be read, or one
        that tells was renamed.

        >>> Behaviour.of({"symbol:free_extent_state", "symbol:lock_extent"}).name
        'linux_6_1'
        """
        had = [bool(change.marks & set(features)) for change in _HISTORY]
        if False in had[: sum(had)] or not had[0]:
            found = ", ".join(sorted(set(features) & set(FEATURES))) or "none of the symbols that tell"
            raise UnknownBehaviourError(f"this btrfs cannot be told from others by what it has: {found}")
        old = {name for change, has in zip(_HISTORY, had, strict=True) if not has for name in change.ended}
        new = {name for change, has in zip(_HISTORY, had, strict=True) if has for name in change.began}
        return cls(**dict.fromkeys(old | new, True))


Behaviour.linux_6_18 = Behaviour()
Behaviour.linux_7_2 = Behaviour(trims_in_place=True)
Behaviour.linux_6_12 = Behaviour(searches_again=True)
Behaviour.linux_6_1 = Behaviour(searches_again=True, inserts_before_merging=True, releases_in_order=True)
Behaviour.linux_5_10 = Behaviour(
    searches_again=True,
    inserts_before_merging=True,
    releases_in_order=True,
    locks_alone=True,
    keeps_what_it_locked=True,
)


class _Change(NamedTuple):
    """A point of the file's history: a kernel is behind it if it has one of `marks`."""

    marks: frozenset[str]
    ended: tuple[str, ...] = ()
    began: tuple[str, ...] = ()


# Oldest first, so that a kernel which has one has those before it. Functions that no file but theirs could
# call would be inlined here and there: all of these are called from other files.
_HISTORY = (
    # Every kernel here; renamed in 6.16. Without it the list of symbols was not to be read.
    _Change(frozenset({"symbol:free_extent_state", "symbol:btrfs_free_extent_state"})),
    # 6.1-rc1, 570eb97bace8 "btrfs: unify the lock/unlock extent variants", four commits behind the one that
    # ended locks_alone; keeps_what_it_locked ended in 6.1-rc2: rc1 is misjudged, and so is a kernel that has
    # 9e769bd7e5db alone, as a stable 6.0 might. Renamed in 6.12 and 6.16.
    _Change(
        frozenset({"symbol:lock_extent", "symbol:__lock_extent", "symbol:btrfs_lock_extent_bits"}),
        ended=("locks_alone", "keeps_what_it_locked"),
    ),
    # 6.7-rc1, 99be1a66e1fe "btrfs: add specific helper for range bit test exists", two commits before the
    # one that ended inserts_before_merging and seven before the other. Renamed in 6.16.
    _Change(
        frozenset({"symbol:test_range_bit_exists", "symbol:btrfs_test_range_bit_exists"}),
        ended=("inserts_before_merging", "releases_in_order"),
    ),
    # 6.16-rc1, "btrfs: rename the functions to clear bits for an extent range", weeks before the series in
    # btrfs's own tree, but in the same release.
    _Change(frozenset({"symbol:btrfs_clear_extent_bit_changeset"}), ended=("searches_again",)),
    # 7.1-rc1, bd0ffde1d31e "btrfs: create btrfs_reclaim_block_groups()", a dozen commits behind the two.
    _Change(frozenset({"symbol:btrfs_reclaim_block_groups"}), began=("trims_in_place",)),
)

FEATURES: tuple[str, ...] = tuple(sorted({mark for change in _HISTORY for mark in change.marks}))
"""What a recorder looks for in the kernel, and keeps of it in a bundle's `capture.features`: `symbol:NAME` is
a function among the kernel's symbols."""
