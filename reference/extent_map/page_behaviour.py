# SPDX-License-Identifier: GPL-2.0-or-later
"""The two versions of the page half of fs/extent_map.c and of its ext2 user, as posted and corrected."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from reference.extent_map.defects import defect, defects_of

__all__ = ["PAGE_DEFECTS", "PageBehaviour"]


@dataclass(frozen=True)
class PageBehaviour:
    """Which defects of the page half are there. Corrected, none, is the default.

    Lines are those of fs/extent_map.c, or of fs/ext2/inode.c for ext2's functions, as the patches leave them.
    """

    # extent_read_full_page

    read_locks_inverted_range: bool = defect(
        "extent_read_full_page",
        radix=1206,
        rbtree=1240,
        what="locks up to the end of the file, which lies before the page after a truncate",
        consequence="a state that ends before it starts is in the tree; the next lock at its end is a BUG_ON",
    )
    read_ignores_blocks_past_eof: bool = defect(
        "extent_read_full_page",
        radix=1206,
        rbtree=1240,
        what="neither locks nor marks up to date the blocks behind the one that the file ends in",
        consequence="a page of small blocks at the end of the file is never up to date: reading it is -EIO",
    )
    read_zeroes_after_submitting: bool = defect(
        "extent_read_full_page",
        radix=1261,
        rbtree=1295,
        what="zeroes the page behind the end of the file, as it was at the beginning, when the bios are gone",
        consequence="the page may be read, unlocked and written to by then: what was appended is zeroed",
    )
    read_zeroes_by_offset_of_eof: bool = defect(
        "extent_read_full_page",
        radix=1262,
        rbtree=1296,
        what="zeroes from the offset that the file's end has in its own page; last_byte - 1 is huge for 0",
        consequence="a page behind the end of the file is up to date with what was in memory before",
    )
    read_rereads_dirty_blocks: bool = defect(
        "extent_read_full_page",
        radix=1244,
        rbtree=1278,
        what="reads a whole mapping unless all of its blocks in the page are up to date",
        consequence="blocks that were written to and not yet to disk are overwritten with what the disk has",
    )
    read_does_not_split_lock: bool = defect(
        "extent_read_full_page",
        radix=1251,
        rbtree=1285,
        what="gives no state of its own to the range of each bio, as its comment demands",
        consequence="the completion of a part of the page splits a state without memory: NULL pointer",
    )
    read_unlocks_without_check: bool = defect(
        "extent_read_full_page",
        radix=1237,
        rbtree=1271,
        what="unlocks the range of a hole, or of what is up to date, without a look at the page",
        consequence="if the last bio was done by then nobody unlocks the page, nor marks it up to date",
    )
    read_error_keeps_lock: bool = defect(
        "extent_read_full_page",
        radix=1217,
        rbtree=1251,
        what="leaves the loop when get_extent fails; what a bio is under way for is all that is unlocked",
        consequence="the rest of the page, and with it the page, is locked for ever",
    )

    # extent_write_full_page

    write_locks_up_to_eof: bool = defect(
        "extent_write_full_page",
        radix=1322,
        what="locks and marks up to the end of the file, which may be the page's first byte",
        consequence="a state that ends before it starts; BUG in end_page_writeback of a page not under it",
    )
    write_sets_writeback_late: bool = defect(
        "extent_write_full_page",
        radix=1374,
        what="sets PG_writeback and WRITEBACK when the bios are gone",
        consequence="a bio that was faster is a BUG in end_page_writeback, and WRITEBACK stays for ever",
    )
    write_sets_writeback_everywhere: bool = defect(
        "extent_write_full_page",
        radix=1374,
        what="sets WRITEBACK also on holes and clean blocks, for which there is no bio to clear it",
        consequence="the page is under writeback for ever; truncate waits for it",
    )
    write_sets_writeback_by_block: bool = defect(
        "extent_write_full_page",
        rbtree=1399,
        what="sets WRITEBACK block by block, each just before its bio",
        consequence="PG_writeback ends if the first is done before the second begins: fsync returns early",
    )
    write_asks_extent_dirty: bool = defect(
        "extent_write_full_page",
        radix=1356,
        what="writes only what is EXTENT_DIRTY, which a store through a mapping does not set",
        consequence="such stores are never written",
    )
    write_does_not_allocate: bool = defect(
        "extent_write_full_page",
        radix=1332,
        what="calls get_extent with create 0, and skips holes",
        consequence="stores through a mapping into a hole are never written",
    )
    write_writes_blocks_never_read: bool = defect(
        "extent_write_full_page",
        rbtree=1392,
        what="writes all blocks of a dirty page, also those that were never read",
        consequence="what was in memory before overwrites good blocks on disk",
    )
    write_marks_all_uptodate: bool = defect(
        "extent_write_full_page",
        radix=1328,
        rbtree=1362,
        what="marks all of the page up to date, also blocks that were never read",
        consequence="they are not read any more: what was in memory before is the file's data",
    )
    write_leaves_extent_new: bool = defect(
        "extent_write_full_page",
        rbtree=1366,
        what="gives blocks to holes and leaves EXTENT_NEW set, which only prepare_write clears",
        consequence="NEW stays on a block with data, and a partial write that should read it would zero it",
    )
    write_swallows_errors: bool = defect(
        "extent_write_full_page",
        radix=1334,
        rbtree=1368,
        what="returns 0 when get_extent fails; the page is clean and nobody is told",
        consequence="data is lost on a full disk, and fsync says all is well",
    )

    # completions

    end_io_checks_unlocked: bool = defect(
        "end_bio_extent_readpage, end_bio_extent_writepage",
        radix=1089,
        rbtree=1123,
        what="clears its bits and then looks whether others are left, without a lock around both",
        consequence="two bios of a page done on two CPUs both unlock it, or both end its writeback: BUG",
    )
    write_error_not_recorded: bool = defect(
        "end_bio_extent_writepage",
        radix=1027,
        rbtree=1061,
        what="sets PG_error alone, not AS_EIO",
        consequence="an fsync that comes after the bio was done says all is well",
    )
    write_error_drops_data: bool = defect(
        "end_bio_extent_writepage",
        radix=1026,
        rbtree=1060,
        what="takes a page that could not be written for one that is not up to date",
        consequence="the only good copy of the data is replaced with what the disk has, and nobody was told",
    )

    # extent_prepare_write, extent_commit_write

    prepare_block_end_wraps: bool = defect(
        "extent_prepare_write",
        radix=1473,
        what="takes the end of a block at the end of the page for offset 0",
        consequence="the rest of such a block is neither read nor zeroed: memory contents become file data",
    )
    prepare_looks_at_first_block: bool = defect(
        "extent_prepare_write",
        rbtree=1497,
        what="decides about a mapping of several blocks by its first block's end",
        consequence="a last block written in part is not read first: memory contents become file data",
    )
    prepare_reads_to_page_start: bool = defect(
        "extent_prepare_write",
        radix=1445,
        rbtree=1471,
        what="begins with page_offset 0, wherever in the page the block is",
        consequence="the block is read over the page's first one, and the writer waits for its own for ever",
    )
    prepare_adds_up_offsets: bool = defect(
        "extent_prepare_write",
        radix=1518,
        what="advances page_offset by the sum of two file offsets",
        consequence="the second block is read beyond the page: over other memory",
    )
    prepare_locks_whole_page: bool = defect(
        "extent_prepare_write",
        rbtree=1488,
        what="locks the whole page and unlocks only the blocks that are written to",
        consequence="the other blocks are locked for ever",
    )
    prepare_returns_0_on_error: bool = defect(
        "extent_prepare_write",
        radix=1468,
        rbtree=1493,
        what="returns 0 when get_extent fails",
        consequence="write() succeeds on a full disk, and the data has nowhere to go",
    )
    prepare_error_keeps_lock: bool = defect(
        "extent_prepare_write",
        radix=1468,
        rbtree=1493,
        what="unlocks nothing when get_extent fails",
        consequence="the range is locked for ever",
    )
    prepare_ignores_read_errors: bool = defect(
        "extent_prepare_write",
        radix=1522,
        rbtree=1545,
        what="does not look whether the block could be read",
        consequence="what was in memory before is written to disk around the new data",
    )
    prepare_marks_uptodate_early: bool = defect(
        "extent_prepare_write",
        radix=1514,
        rbtree=1537,
        what="marks blocks, and with them the page, up to date before the data is copied",
        consequence="a reader, who takes no lock, gets what was in memory before",
    )
    prepare_error_leaves_new_blocks: bool = defect(
        "extent_prepare_write",
        radix=1528,
        rbtree=1551,
        what="leaves new blocks as they are when a later one fails (its comment says so)",
        consequence="what was on the disk before shows in the middle of the file",
    )

    # extent_invalidatepage, try_release_extent_mapping, lock_range

    invalidate_splits_block: bool = defect(
        "extent_invalidatepage",
        radix=1393,
        rbtree=1424,
        what="deletes states from a byte in the middle of a block on",
        consequence="that block is not up to date any more, and is read over what was written to it",
    )
    release_spins: bool = defect(
        "try_release_extent_mapping",
        radix=1551,
        what="looks up a mapping with locked bytes again and again",
        consequence="spins until the I/O of another page is done, and leaks a reference each time",
    )
    release_keeps_mapping: bool = defect(
        "try_release_extent_mapping",
        rbtree=1576,
        what="lets the page go but keeps a mapping with locked bytes, be they of another page",
        consequence="nobody drops it when its blocks are freed: data goes into blocks of others",
    )
    release_uses_freed_mapping: bool = defect(
        "try_release_extent_mapping",
        rbtree=1575,
        what="reads em->end after its reference is gone",
        consequence="use after free when another merges the mapping meanwhile",
    )
    release_ignores_lost_race: bool = defect(
        "try_release_extent_mapping",
        radix=1552,
        rbtree=1578,
        what="drops the tree's reference even if remove_extent_mapping found nothing to remove",
        consequence="double free when two pages of one mapping are released at once",
    )
    unlock_range_keeps_references: bool = defect(
        "unlock_range",
        radix=881,
        rbtree=930,
        what="drops the reference that it takes, not the one that lock_range took",
        consequence="the pages can never be freed",
    )
    failed_lock_range_keeps_references: bool = defect(
        "lock_range",
        radix=862,
        rbtree=911,
        what="drops the reference that it takes, not the one of grab_cache_page",
        consequence="the pages can never be freed",
    )
    lock_range_ignores_failure: bool = defect(
        "lock_range",
        radix=849,
        rbtree=898,
        what="does not look whether lock_extent succeeded",
        consequence="without memory the caller goes on with pages locked and the range not",
    )
    index_shifts_in_long: bool = defect(
        "extent_read_full_page and others",
        radix=1184,
        rbtree=1218,
        what="shifts page->index, an unsigned long, without widening it",
        consequence="on 32 bits, data beyond 4 GiB goes to the blocks of the file's beginning",
    )

    # fs/ext2/inode.c

    get_extent_takes_holes: bool = defect(
        "ext2_get_extent",
        radix=649,
        rbtree=651,
        what="returns a cached hole where a block is to be allocated",
        consequence="what is written into a hole that was read is never written to disk",
    )
    get_extent_takes_later: bool = defect(
        "ext2_get_extent",
        radix=649,
        rbtree=651,
        what="returns the first mapping in the range, though it may begin behind the block",
        consequence="blocks are read from and written to places that are not theirs",
    )
    get_extent_marks_request_new: bool = defect(
        "ext2_get_extent",
        radix=687,
        what="sets EXTENT_NEW on the range that was asked for, not on the block that was found",
        consequence="old blocks behind a new one count as new: what is not written to is zeroed",
    )
    get_extent_retry_is_short: bool = defect(
        "ext2_get_extent",
        radix=660,
        rbtree=663,
        what="forgets that ends are inclusive when it tries again",
        consequence="a mapping that lacks its block's last byte; an empty one for a range of one byte",
    )
    get_extent_leaks_on_race: bool = defect(
        "ext2_get_extent",
        radix=679,
        what="forgets the mapping that it could not insert",
        consequence="the extent_map is never freed",
    )
    get_extent_without_memory: bool = defect(
        "ext2_get_extent",
        radix=662,
        rbtree=665,
        what="does not look whether alloc_extent_map gave it a mapping",
        consequence="NULL pointer dereference when memory is short",
    )
    partial_invalidate_releases: bool = defect(
        "ext2_extent_map_invalidatepage",
        radix=740,
        rbtree=749,
        what="releases the page even if only its end is invalidated",
        consequence="all its states go: dirty data is forgotten, or read over from disk",
    )
    dirties_as_buffers: bool = defect(
        "ext2_extent_map_aops",
        radix=850,
        what="has no set_page_dirty, so the page's buffer heads are made dirty; page->private is 1",
        consequence="oops with the first store through a mapping",
    )
    truncates_as_buffers: bool = defect(
        "ext2_truncate",
        radix=1069,
        what="calls block_truncate_page, which takes page->private, 1, for buffer heads or attaches some",
        consequence="oops when a file grows within a page; the zeroed end of a shrunk file is never written",
    )
    truncate_marks_page_uptodate: bool = defect(
        "ext2_truncate",
        rbtree=1078,
        what="calls nobh_truncate_page, which relies on nobh_prepare_write's having read the whole page",
        consequence="blocks of the page that were never read count as up to date",
    )

    as_posted_radix: ClassVar[PageBehaviour]
    """10 July 2007, with all its defects."""
    as_posted_rbtree: ClassVar[PageBehaviour]
    """24 July 2007, with all its defects."""
    corrected: ClassVar[PageBehaviour]

    def having(self, *names: str) -> PageBehaviour:
        """Return this with the defects of these names as well.

        >>> PageBehaviour.corrected.having("release_spins").release_spins
        True
        """
        return replace(self, **dict.fromkeys(names, True))

    def without(self, *names: str) -> PageBehaviour:
        """Return this without the defects of these names."""
        return replace(self, **dict.fromkeys(names, False))


PAGE_DEFECTS = defects_of(PageBehaviour)
"""All of them, in the order of the fields."""

PageBehaviour.corrected = PageBehaviour()
PageBehaviour.as_posted_radix = PageBehaviour.corrected.having(
    *(defect.name for defect in PAGE_DEFECTS if defect.radix_line is not None)
)
PageBehaviour.as_posted_rbtree = PageBehaviour.corrected.having(
    *(defect.name for defect in PAGE_DEFECTS if defect.rbtree_line is not None)
)
