# SPDX-License-Identifier: GPL-2.0-or-later
"""The direct read of January 2010 (fs/btrfs/dio.c), as posted and corrected, defect by defect."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from reference.direct_io.rfc_2010.defects import defect, defects_of

__all__ = ["DEFECTS", "Behaviour"]


@dataclass(frozen=True)
class Behaviour:
    """Which of the defects it has. Corrected is the default.

    Each can be switched on alone: `Behaviour.corrected.having("compressed_ignores_offset")`.
    """

    reaper_misses_done: bool = defect(
        "btrfs_dio_reaper",
        304,
        what="wakes the waiter only if no extcb is pending, though one may have become done since it looked",
        consequence="the reader sleeps for ever",
    )
    reaper_uses_freed_diocb: bool = defect(
        "btrfs_dio_reaper",
        310,
        what="reads diocb->user_mm after it has let the waiter go, who frees the diocb",
        consequence="use after free",
    )
    later_error_wins: bool = defect(
        "btrfs_dio_read, btrfs_dio_free_extcb",
        519,
        what="keeps the error of the submitter, or else that which came first, not that of the lowest offset",
        consequence="the error returned is another's, and depends on timing",
    )
    diocb_keeps_pages: bool = defect(
        "btrfs_dio_free_diocb",
        370,
        what="never releases pages that were pinned for submission and not used",
        consequence="user pages leak when a read ends before its iovec: end of file, error, inline",
    )
    unlocks_unlocked: bool = defect(
        "btrfs_dio_read",
        444,
        what="at the end of the file jumps to where the range is unlocked, before it was locked",
        consequence="another's lock is released: byte 0 of a file of one block, the range after a truncate",
    )
    get_extent_error_unchecked: bool = defect(
        "btrfs_dio_read",
        471,
        what="looks for NULL where btrfs_get_extent returns ERR_PTR",
        consequence="oops when a leaf cannot be read",
    )
    vacancy_leaks_em: bool = defect(
        "btrfs_dio_read",
        482,
        what="leaves without free_extent_map where no extent item covers the file",
        consequence="an extent_map leaks",
    )
    hole_shifts_locks: bool = defect(
        "btrfs_dio_hole_read",
        1431,
        what="advances lockstart by the hole's length, though it began in front of an unaligned offset",
        consequence="what follows is unlocked while it is being read",
    )
    nodatasum_shifts_locks: bool = defect(
        "btrfs_dio_extent_read",
        699,
        what="advances lockstart by the data's length, which without checksums is not aligned",
        consequence="what follows is unlocked while it is being read",
    )
    compressed_ignores_offset: bool = defect(
        "btrfs_dio_compressed_read",
        594,
        what="inflates from where the file extent begins, not from its offset in the compressed extent",
        consequence="wrong data where a compressed extent was partly overwritten or cloned",
    )
    failed_compressed_is_inflated: bool = defect(
        "btrfs_dio_compressed_read",
        617,
        what="completes an extent whose submission failed like one that was read",
        consequence="inflates what was not read; walks past the last bio",
    )
    inflate_overruns_input: bool = defect(
        "btrfs_dio_inflate_next_in, btrfs_dio_inline_next_in",
        958,
        what="gives the next page of input without looking whether there is one",
        consequence="a stream without end makes it walk past the last bio",
    )
    skip_keeps_pages: bool = defect(
        "btrfs_dio_skip_user_mem",
        1090,
        what="advances the user memory, but not the list of pages pinned of it",
        consequence="what is read next goes to the wrong pages of the user's memory",
    )
    split_reads_tail_again: bool = defect(
        "btrfs_dio_extent_read",
        749,
        what="keeps csum_after and filetail when the rest of the data fits in the block that ends an extcb",
        consequence="reads the block behind the data, and counts a file tail twice: too much is returned",
    )
    split_counts_tail_twice: bool = defect(
        "btrfs_dio_extent_read",
        777,
        what="adds the file tail that was added to data_len before",
        consequence="the rest is not aligned: the read stops at the split with ENOTBLK",
    )
    failed_submit_counts_partial_block: bool = defect(
        "btrfs_dio_extent_read",
        799,
        what="counts what was read of a block whose rest could not be submitted",
        consequence="data are returned that no checksum was compared with",
    )
    failed_bio_counts_unread: bool = defect(
        "btrfs_dio_read_stripes",
        880,
        what="leaves without giving back dev_left when no bio can be allocated",
        consequence="bytes are returned that were never read",
    )
    order_keeps_freed_bio: bool = defect(
        "btrfs_dio_read_stripes",
        882,
        what="puts a bio in order[] before a page is in it; one without pages is freed",
        consequence="use after free when a user page is not there or memory is short",
    )
    merged_vec_leaks_page: bool = defect(
        "btrfs_dio_release_bios",
        1135,
        what="releases a page once a vector, though bio_add_page joins neighbours of one page in one",
        consequence="a user page leaks where two iovecs meet within it",
    )
    spent_iov_decides_alignment: bool = defect(
        "btrfs_dio_not_aligned",
        1036,
        what="looks at the address where the last iovec ended, though nothing of it is left",
        consequence="ENOTBLK, or another mirror, for a read that is aligned",
    )
    asks_missing_device: bool = defect(
        "btrfs_dio_read_stripes, btrfs_dio_retry_block",
        862,
        what="uses the block device of a stripe without looking whether it is there",
        consequence="oops on a degraded file system as soon as a block must be read again",
    )
    retry_reads_unaligned: bool = defect(
        "btrfs_dio_retry_block",
        1726,
        what="reads from where the failed bio began, and copies as if it had read from the block's start",
        consequence="wrong data without checksums; runs past the page",
    )
    retry_steps_whole_blocks: bool = defect(
        "btrfs_dio_read_retry",
        1894,
        what="takes a block off the rest of a failed bio, which may have less",
        consequence="retry_len wraps to 4 GiB: walks past the last bio after an error of an unaligned bio",
    )
    compressed_io_retry_stays: bool = defect(
        "btrfs_dio_read_retry",
        1896,
        what="reads each block of a failed bio of a compressed extent into the bio's first page",
        consequence="a compressed extent is not recovered from a good mirror after an I/O error",
    )
    compressed_csum_retry_stays: bool = defect(
        "btrfs_dio_read_retry",
        1872,
        what="does not go on to the next page when a block of a compressed extent was read again",
        consequence="the next blocks overwrite it: a compressed extent with one bad block is not recovered",
    )
    gives_up_after_short: bool = defect(
        "btrfs_dio_read_csum",
        1633,
        what="tries no mirror for a bad checksum in front of a block that could not be read",
        consequence="less is returned than could be",
    )
    zero_csum_is_missing: bool = defect(
        "btrfs_dio_read_csum",
        1633,
        what="takes a checksum of 0 for one that the tree does not have",
        consequence="no mirror is tried for a block whose checksum is 0",
    )
    retry_page_unchecked: bool = defect(
        "btrfs_dio_retry_block",
        1744,
        what="does not look whether alloc_page gave a page",
        consequence="oops when memory is short",
    )
    tail_fault_misplaced: bool = defect(
        "btrfs_dio_read_done",
        1160,
        what="takes a tail that could not be copied off filestart, which is not where the data end",
        consequence="bytes that nobody wrote are returned, or a negative number that is no error",
    )
    tail_restarts: bool = defect(
        "btrfs_dio_read_done",
        1166,
        what="copies each part of a tail from the beginning of the temporary page",
        consequence="wrong data where the tail that ends an extcb lies in two iovecs",
    )
    inline_ignores_offset: bool = defect(
        "btrfs_dio_inline_read",
        1485,
        what="limits the length to that of the inline data, wherever in them it begins",
        consequence="bytes of the leaf behind the item are returned",
    )
    inline_ends_request: bool = defect(
        "btrfs_dio_read",
        486,
        what="takes an inline extent for the end of the file",
        consequence="short read, or EDOM, where the file goes on",
    )
    inline_inflate_keeps_pages: bool = defect(
        "btrfs_dio_inline_read",
        1531,
        what="frees the extcb without releasing the user pages that it pinned",
        consequence="a user page leaks for each compressed inline extent that ends within it",
    )
    inline_short_inflate_counts: bool = defect(
        "btrfs_dio_inline_read",
        1523,
        what="does not look how much was inflated",
        consequence="bytes that nobody wrote are returned",
    )

    as_posted: ClassVar[Behaviour]
    """19 January 2010, with all its defects."""
    corrected: ClassVar[Behaviour]

    def having(self, *names: str) -> Behaviour:
        """Return this with the defects of these names as well.

        >>> Behaviour.corrected.having("skip_keeps_pages").skip_keeps_pages
        True
        """
        return replace(self, **dict.fromkeys(names, True))

    def without(self, *names: str) -> Behaviour:
        """Return this without the defects of these names.

        >>> Behaviour.as_posted.without(*(d.name for d in DEFECTS)) == Behaviour.corrected
        True
        """
        return replace(self, **dict.fromkeys(names, False))

    def __fingerprint__(self) -> object:
        """It never changes, so no state differs by it."""
        return None


DEFECTS = defects_of(Behaviour)
"""All of them, in the order of the fields."""

Behaviour.corrected = Behaviour()
Behaviour.as_posted = Behaviour.corrected.having(*(d.name for d in DEFECTS))
