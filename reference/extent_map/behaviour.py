# SPDX-License-Identifier: GPL-2.0-or-later
"""The two versions of the trees' half of fs/extent_map.c, as posted and corrected, defect by defect."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from reference.extent_map.defects import Defect, defect, defects_of

__all__ = ["DEFECTS", "Behaviour"]

Structure = Literal["radix", "rbtree"]


@dataclass(frozen=True)
class Behaviour:
    """Which version it is, and which of its defects it has. Corrected is the default.

    Each defect can be switched on alone: `Behaviour.corrected_rbtree.having("hole_insert_overlaps")`.
    """

    structure: Structure = "rbtree"
    """The version: "radix" is that of 10 July 2007, "rbtree" that of 24 July."""

    hole_insert_overlaps: bool = defect(
        "set_extent_bit",
        radix=653,
        rbtree=707,
        what="fills a hole up to min(end, last_start), where last_start is the next state's first byte",
        consequence="the new state overlaps its neighbour by a byte; going on hits BUG_ON(-EEXIST)",
    )
    tail_hides_hole: bool = defect(
        "set_extent_bit",
        radix=629,
        rbtree=683,
        what="looks whether the state found reaches beyond the range before it looks for a hole before it",
        consequence="the hole does not get the bits: dirty bytes are not written, locked ones not locked",
    )
    set_leaks_prealloc: bool = defect(
        "set_extent_bit",
        radix=536,
        rbtree=599,
        what="allocates a state for each round, whether or not the last one was used",
        consequence="an extent_state leaks for each whole state that the range passes over",
    )
    set_without_prealloc: bool = defect(
        "set_extent_bit",
        radix=554,
        rbtree=611,
        what="inserts or splits with the preallocated state, which is NULL under GFP_ATOMIC",
        consequence="NULL pointer dereference when a completion meets a hole or part of a state",
    )
    set_wraps: bool = defect(
        "set_extent_bit",
        radix=580,
        rbtree=635,
        what="goes on at state->end + 1, which is 0 behind a state that ends at 2^64-1",
        consequence="sets bits in front of the range and never ends; an exclusive set meets itself",
    )
    set_needs_memory: bool = defect(
        "set_extent_bit",
        radix=538,
        rbtree=601,
        what="gives up with -ENOMEM when it cannot preallocate, before it knows whether it needs a state",
        consequence="bits that needed no memory are not set; callers do not look at the result",
    )
    exact_match_sets_on_failure: bool = defect(
        "set_extent_bit",
        radix=529,
        what="in the search for an exact match, sets the bits even where it fails with -EEXIST",
        consequence="an exclusive set of several bits that fails has set those that were free",
    )
    set_tail_split_unchecked: bool = defect(
        "set_extent_bit",
        radix=637,
        what="looks only for -EEXIST after the second split, which may fail with -ENOMEM",
        consequence="the state that split_state freed is written to; hidden by set_without_prealloc",
    )
    exact_match_ends_no_preload: bool = defect(
        "set_extent_bit",
        radix=669,
        what="an exact match leaves through radix_tree_preload_end without radix_tree_preload",
        consequence="preempt_count falls below zero with every exact match",
    )
    atomic_set_ends_no_preload: bool = defect(
        "set_extent_bit",
        radix=681,
        what="calls radix_tree_preload_end under GFP_ATOMIC, which did not preload",
        consequence="preempt_count falls below zero in a completion",
    )
    set_reschedules_in_atomic: bool = defect(
        "set_extent_bit",
        radix=682,
        what="calls cond_resched whatever the mask",
        consequence="schedules in interrupt context",
    )
    ioset_of_last_state: bool = defect(
        "set_extent_bit",
        radix=673,
        what="merges nothing if the last state it met was under I/O, or after an error",
        consequence="equal neighbours in the rest of the range stay apart",
    )
    clear_stops_before_last_byte: bool = defect(
        "clear_extent_bit",
        radix=416,
        rbtree=504,
        what="ends when start >= end, though end is inclusive",
        consequence="a last single byte keeps its bits: a lock is never released, its waiters sleep on",
    )
    clear_without_prealloc: bool = defect(
        "clear_extent_bit",
        radix=369,
        rbtree=460,
        what="splits with the preallocated state, which is NULL under GFP_ATOMIC",
        consequence="NULL pointer dereference when a completion ends in the middle of a state",
    )
    clear_wraps: bool = defect(
        "clear_extent_bit",
        radix=401,
        rbtree=492,
        what="goes on at state->end + 1, which is 0 behind a state that ends at 2^64-1",
        consequence="clears bits in front of the range, or never ends",
    )
    clear_needs_memory: bool = defect(
        "clear_extent_bit",
        radix=332,
        rbtree=426,
        what="gives up with -ENOMEM when it cannot preallocate, before it knows whether it needs a state",
        consequence="unlock_extent fails without memory though it needs none, and the range stays locked",
    )
    clear_splits_in_vain: bool = defect(
        "clear_extent_bit",
        radix=369,
        rbtree=460,
        what="splits a state that reaches beyond the range though it has none of the bits",
        consequence="needs memory, and can fail with -ENOMEM, to change nothing",
    )
    clear_tail_split_unchecked: bool = defect(
        "clear_extent_bit",
        radix=390,
        what="looks only for -EEXIST after the second split, which may fail with -ENOMEM",
        consequence="the state that split_state freed is used, and freed again",
    )
    clear_hides_error: bool = defect(
        "clear_extent_bit",
        radix=373,
        what="returns the bits it found, not the error, when the first split fails",
        consequence="says 0, nothing was set, though the bits are still there",
    )
    clear_keeps_preemption_off: bool = defect(
        "clear_extent_bit",
        radix=406,
        what="leaves without radix_tree_preload_end",
        consequence="the task may not be preempted any more; sleeping is a scheduling while atomic",
    )
    atomic_clear_ends_no_preload: bool = defect(
        "clear_extent_bit",
        radix=419,
        what="calls radix_tree_preload_end under GFP_ATOMIC, which did not preload",
        consequence="preempt_count falls below zero in a completion",
    )
    clear_ignores_failed_preload: bool = defect(
        "clear_extent_bit",
        radix=334,
        what="does not look whether radix_tree_preload failed, which leaves preemption on, before it ends it",
        consequence="preempt_count falls below zero when memory is short",
    )
    clear_reschedules_in_atomic: bool = defect(
        "clear_extent_bit",
        radix=420,
        what="calls cond_resched whatever the mask",
        consequence="schedules in interrupt context",
    )
    clear_merges_io_only: bool = defect(
        "clear_extent_bit",
        radix=411,
        what="merges only when it clears LOCKED or WRITEBACK",
        consequence="states that another clear made equal, or split for nothing, stay apart: the tree grows",
    )
    merge_start_underflows: bool = defect(
        "merge_state",
        radix=247,
        what="looks for states that end at start - 1 or later, which is 2^64-1 for start 0",
        consequence="nothing is ever merged after work on a range that begins at 0",
    )
    merge_stops_at_end: bool = defect(
        "merge_state",
        radix=245,
        what="ends when start >= end, before it compares the range's last state with the one behind it",
        consequence="equal neighbours stay apart behind the range, and around a single byte",
    )
    merge_strands_waiters: bool = defect(
        "merge_state",
        radix=260,
        rbtree=295,
        what="frees a state that somebody waits on without waking him",
        consequence="who waits for a bit that is not for I/O sleeps on; no caller of the patch does",
    )
    split_strands_waiters: bool = defect(
        "split_state",
        radix=222,
        rbtree=366,
        what="leaves all waiters on the second half",
        consequence="who waits for a byte of the first half is not woken when that is unlocked",
    )
    wait_goes_back: bool = defect(
        "wait_extent_bit",
        radix=467,
        rbtree=552,
        what="searches again from the start of the state it slept on, which may lie before the range",
        consequence="waits for bits outside its range: a sleeper whose range is free is not let go",
    )
    wait_wraps: bool = defect(
        "wait_extent_bit",
        radix=473,
        rbtree=558,
        what="goes on at state->end + 1, which is 0 behind a state that ends at 2^64-1",
        consequence="waits for bits in front of the range, or never ends, with the lock held",
    )
    lock_keeps_part: bool = defect(
        "lock_extent",
        radix=768,
        rbtree=817,
        what="returns -ENOMEM, or -EEXIST under GFP_ATOMIC, with the first part of the range locked",
        consequence="that part stays locked for ever: who gets an error does not unlock",
    )
    filled_ignores_tail_hole: bool = defect(
        "test_range_bit",
        radix=916,
        rbtree=953,
        what="forgets `filled` where no state is left in the rest of the range",
        consequence="a page of which only the first block was read counts as up to date",
    )
    test_wraps: bool = defect(
        "test_range_bit",
        radix=935,
        what="goes on at state->end + 1, which is 0 behind a state that ends at 2^64-1",
        consequence="looks in front of the range, or never ends, with interrupts off",
    )
    test_returns_bits: bool = defect(
        "test_range_bit",
        radix=908,
        what="returns the bits found, not 1, for an exact match",
        consequence="a caller that compares with 1 is misled; those of the patch do not",
    )
    unlock_enables_irqs: bool = defect(
        "set_extent_bit, clear_extent_bit, test_range_bit",
        radix=668,
        rbtree=720,
        what="takes and releases the lock with _irq instead of _irqsave in completions",
        consequence="interrupts are enabled in the middle of an interrupt's handler",
    )
    failed_add_keeps_lock: bool = defect(
        "add_extent_mapping",
        rbtree=198,
        what="jumps behind write_unlock_irq on -EEXIST",
        consequence="the tree stays locked, interrupts stay off: everything stops",
    )
    failed_add_leaks_reference: bool = defect(
        "add_extent_mapping",
        radix=98,
        rbtree=193,
        what="keeps the tree's reference when the insertion failed",
        consequence="the extent_map is never freed",
    )
    failed_add_merges: bool = defect(
        "add_extent_mapping",
        radix=102,
        what="merges with the mapping before it though the insertion failed",
        consequence="that mapping is gone from the tree, and nothing is there in its place",
    )
    maps_may_overlap: bool = defect(
        "add_extent_mapping",
        radix=101,
        rbtree=195,
        what="refuses only a mapping with the same end",
        consequence="two mappings of the same bytes in the tree: data goes to the one or the other place",
    )
    merge_ignores_bdev: bool = defect(
        "add_extent_mapping",
        radix=104,
        rbtree=204,
        what="merges mappings that follow each other on disk without comparing their devices",
        consequence="bytes of one device are mapped to another; files of ext2 have one device only",
    )
    remove_by_end: bool = defect(
        "remove_extent_mapping",
        radix=163,
        rbtree=263,
        what="removes whatever mapping has the same end",
        consequence="who comes late removes and frees another's mapping",
    )
    add_ignores_failed_preload: bool = defect(
        "add_extent_mapping",
        radix=99,
        what="does not look whether radix_tree_preload failed, which leaves preemption on, before it ends it",
        consequence="preempt_count falls below zero when memory is short",
    )

    as_posted_radix: ClassVar[Behaviour]
    """10 July 2007, with all its defects."""
    as_posted_rbtree: ClassVar[Behaviour]
    """24 July 2007, with all its defects."""
    corrected_radix: ClassVar[Behaviour]
    corrected_rbtree: ClassVar[Behaviour]

    def having(self, *names: str) -> Behaviour:
        """Return this version with the defects of these names as well.

        >>> Behaviour.corrected_radix.having("set_leaks_prealloc").set_leaks_prealloc
        True
        """
        return self._switched(names, on=True)

    def without(self, *names: str) -> Behaviour:
        """Return this version without the defects of these names.

        >>> Behaviour.as_posted_radix.without(*(d.name for d in DEFECTS)) == Behaviour.corrected_radix
        True
        """
        return self._switched(names, on=False)

    def _switched(self, names: Iterable[str], *, on: bool) -> Behaviour:
        switched: dict[str, Any] = dict.fromkeys(names, on)
        return replace(self, **switched)


DEFECTS: tuple[Defect, ...] = defects_of(Behaviour)
"""All defects of the trees' half, of either version."""


def _posted(structure: Structure) -> Behaviour:
    had = (d.name for d in DEFECTS if (d.radix_line if structure == "radix" else d.rbtree_line) is not None)
    return Behaviour(structure).having(*had)


Behaviour.corrected_radix = Behaviour("radix")
Behaviour.corrected_rbtree = Behaviour("rbtree")
Behaviour.as_posted_radix = _posted("radix")
Behaviour.as_posted_rbtree = _posted("rbtree")
