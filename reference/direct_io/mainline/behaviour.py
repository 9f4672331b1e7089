# SPDX-License-Identifier: GPL-2.0-or-later
"""How versions of mainline's direct read differ. Each field says where that stands, and what is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

__all__ = ["Behaviour"]


@dataclass(frozen=True)
class Behaviour:
    """One kernel's way. The defaults are those of 6.18, measured there, or where it says so, read."""

    read_limit: int = 256
    """Blocks that one mapping, and so one bio, has at most (`btrfs_dio_iomap_begin`). 256 since 6.0: "btrfs:
    increase direct io read size limit to 256 sectors"; 1 from c329861da406 (3.7) to then (read)."""

    reads_behind_eof: bool = True
    """The request is mapped to its end, and holes behind the file's end are zeroed in memory:
    `__iomap_dio_rw` with `iomap_iter`, since 5.15. Before, the loop of `iomap_apply` ended with the
    block in which the file ends (read)."""

    nowait_one_page: bool = True
    """RWF_NOWAIT gives EAGAIN for more than a page, and where the page cache is needed (the latter read:
    `btrfs_dio_iomap_begin`). 5.10 reads what it can (read)."""

    repairs_in_ring: bool = True
    """A bad copy is followed by the next one, after the last by the first (`next_repair_mirror`,
    fs/btrfs/bio.c). In 5.10 the copies are tried from the first on, without the bad one (read:
    `btrfs_check_repairable`, fs/btrfs/extent_io.c)."""

    repairs_all: bool = True
    """All copies that were found bad are written anew (`btrfs_end_repair_bio`, same file). In 5.10 only the
    last of them (read: `clean_io_failure`)."""

    mirrored_cut: bool = False
    """Reads of mirrored chunks end with each 64 KiB, as those of striped ones do everywhere (read:
    `btrfs_get_io_geometry` of 5.10)."""

    bio_fails_whole: bool = True
    """A block without good copy has all pages of its bio be those that could not be read (`end_bbio_data_read`
    in fs/btrfs/extent_io.c), since 6.3: "btrfs: handle checksum validation and repair at the storage layer".
    Before, only its own page (read: `end_bio_extent_readpage`)."""

    loses_errors: bool = False
    """A bad block in a part of a bio that was cut may go unnoticed (`error_may_be_lost`, measured on 6.18;
    docs/known-issues.md)."""

    linux_5_10: ClassVar[Behaviour]
    """Debian's 5.10: iomap since 5.9, with the limits of the code before."""
    linux_6_1: ClassVar[Behaviour]
    linux_6_18: ClassVar[Behaviour]


Behaviour.linux_6_18 = Behaviour(loses_errors=True)
Behaviour.linux_6_1 = Behaviour(bio_fails_whole=False)
Behaviour.linux_5_10 = Behaviour(
    read_limit=1,
    reads_behind_eof=False,
    nowait_one_page=False,
    repairs_in_ring=False,
    repairs_all=False,
    mirrored_cut=True,
    bio_fails_whole=False,
)
