# SPDX-License-Identifier: GPL-2.0-or-later
"""How versions of mainline's direct read differ. Each field says where that stands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

__all__ = ["Behaviour"]


@dataclass(frozen=True)
class Behaviour:
    """One kernel's way. The defaults are those of 6.18."""

    read_limit: int = 256
    """Blocks that one mapping, and so one bio, has at most (`btrfs_dio_iomap_begin`). 256 since 6.0: "btrfs:
    increase direct io read size limit to 256 sectors"; 1 from c329861da406 (3.7) to then."""

    reads_behind_eof: bool = True
    """The request is mapped to its end, and holes behind the file's end are zeroed in memory:
    `__iomap_dio_rw` with `iomap_iter`, since 5.15. Before, the loop of `iomap_apply` ended with the
    block in which the file ends."""

    tries_again: bool = True
    """What is left after a direct read is tried directly once more, for pages of the user that are not
    present: `btrfs_direct_read` (fs/btrfs/direct-io.c, file.c before 6.11), since 51bd9563b678 (5.16).
    Before, `btrfs_direct_IO` (fs/btrfs/inode.c) was called once."""

    direct_is_sync: bool = True
    """Bios of direct reads have REQ_SYNC and REQ_IDLE (`iomap_dio_bio_iter`, fs/iomap/direct-io.c). Until
    6.12 only writes had."""

    checks_empty_vectors: bool = False
    """EINVAL where a bio is to be made for a vector whose address does not fit the device's DMA, or behind
    such a one that is empty: `iov_iter_is_aligned` looks at empty vectors too (`iomap_dio_bio_iter`, from
    bf8d08532bc1 (6.0), gone in 6.18)."""

    checks_next_vector: bool = False
    """Buffered from there on where a bio is to be made for such an address, or where an empty vector that has
    one comes next: `iov_iter_extract_bvecs` (lib/iov_iter.c of 7.2) refuses it, and as nothing was done,
    `btrfs_dio_iomap_end` turns that into ENOTBLK. A bio steps over empty vectors behind it, zeroing a hole
    does not."""

    nowait_one_page: bool = True
    """RWF_NOWAIT gives EAGAIN for more than a page (`btrfs_dio_iomap_begin`, since ca93e44bfb5f (5.17)), and
    for what is not one extent."""

    nowait_without_pages: bool = False
    """RWF_NOWAIT gives EAGAIN if a page of the range is in the page cache (`filemap_range_has_page` in
    `__iomap_dio_rw`, fs/iomap/direct-io.c of 5.10). In 6.1 only if one is dirty
    (`filemap_range_needs_writeback`)."""

    merges_merged: bool = True
    """Extent maps that are made of several are merged with others that are not (`mergeable_maps`,
    fs/btrfs/extent_map.c). In 6.1 all flags have to be the same, EXTENT_FLAG_MERGED too."""

    releases_maps: bool = True
    """Letting go of a page of the page cache takes away the extent map that begins with it
    (`try_release_extent_mapping`, fs/btrfs/extent_io.c). Before 6.12 only of files over 16 MiB, and where it
    may block, which POSIX_FADV_DONTNEED may not."""

    expands_readahead: bool = True
    """A batch of pages that are read ahead is made longer, to the end of a compressed extent
    (`btrfs_readahead_expand`, fs/btrfs/extent_io.c); `force_page_cache_ra` (mm/readahead.c) goes on behind
    what was added. Not so in 6.1."""

    adds_page_behind_eof: bool = False
    """A buffered read that goes on behind a file that ends with a page adds an empty page there: the file's
    end is looked at when the page is there (`generic_file_buffered_read`, mm/filemap.c of 5.10)."""

    joins_over_holes: bool = False
    """Pages that lie one behind the other on the disk, but not in the file, are read by one bio
    (`submit_extent_page`, fs/btrfs/extent_io.c of 5.10). In 6.1 they have to in the file too
    (`btrfs_bio_add_page`)."""

    pages_fail_together: bool = True
    """If a block of a bio of the page cache has no good copy, none of its pages counts as read
    (`end_bbio_data_read`, fs/btrfs/extent_io.c). Until 6.1 (`end_bio_extent_readpage`) the others do."""

    rereads_behind_others: bool = True
    """A page that could not be read and comes behind others is read again at once, and once more when it is
    the first (`filemap_get_pages`, mm/filemap.c). In 7.2 only then; 5.10 takes page by page."""

    repairs_in_ring: bool = True
    """A bad copy is followed by the next one, after the last by the first (`next_repair_mirror`,
    fs/btrfs/bio.c; 6.1: `next_mirror`, fs/btrfs/extent_io.c). In 5.10 the copies are tried from the first on,
    without the bad one (`btrfs_check_repairable`, fs/btrfs/extent_io.c)."""

    repairs_all: bool = True
    """All copies that were found bad are written anew (`btrfs_end_repair_bio`, fs/btrfs/bio.c; 6.1:
    `btrfs_clean_io_failure`). In 5.10 only the last of them (`clean_io_failure`)."""

    repairs_inflated: bool = False
    """Copies of a compressed extent are tried for each of its pages, and inflated pages are written over what
    is compressed (`btrfs_submit_read_repair`, fs/btrfs/extent_io.c, until 81bd9328ab9f "btrfs: fix repair of
    compressed extents" (6.0); docs/known-issues.md)."""

    mirrored_cut: bool = False
    """Reads of mirrored chunks end with each 64 KiB, as those of striped ones do everywhere
    (`btrfs_get_io_geometry`, fs/btrfs/volumes.c of 5.10; that of 6.1 asks for a striped profile)."""

    loses_errors: bool = False
    """A bad block in a part of a bio that was cut may go unnoticed (`btrfs_bio_end_io`, fs/btrfs/bio.c of
    6.12 to 7.2; docs/known-issues.md)."""

    linux_5_10: ClassVar[Behaviour]
    """Debian's 5.10: iomap since 5.9, with the limits of the code before."""
    linux_6_1: ClassVar[Behaviour]
    linux_6_12: ClassVar[Behaviour]
    linux_6_18: ClassVar[Behaviour]
    linux_7_2: ClassVar[Behaviour]


Behaviour.linux_6_18 = Behaviour(loses_errors=True)
Behaviour.linux_7_2 = replace(Behaviour.linux_6_18, checks_next_vector=True, rereads_behind_others=False)
Behaviour.linux_6_12 = replace(Behaviour.linux_6_18, direct_is_sync=False, checks_empty_vectors=True)
Behaviour.linux_6_1 = replace(
    Behaviour.linux_6_12,
    merges_merged=False,
    releases_maps=False,
    pages_fail_together=False,
    expands_readahead=False,
    loses_errors=False,
)
Behaviour.linux_5_10 = replace(
    Behaviour.linux_6_1,
    read_limit=1,
    reads_behind_eof=False,
    tries_again=False,
    checks_empty_vectors=False,
    merges_merged=True,
    nowait_one_page=False,
    nowait_without_pages=True,
    adds_page_behind_eof=True,
    joins_over_holes=True,
    rereads_behind_others=False,
    repairs_in_ring=False,
    repairs_all=False,
    repairs_inflated=True,
    mirrored_cut=True,
)
