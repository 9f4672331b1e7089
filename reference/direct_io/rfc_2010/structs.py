# SPDX-License-Identifier: GPL-2.0-or-later
"""The structures of the patch, with the fields that decide something, and its constants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from reference.direct_io.rfc_2010.bio import Bio, BioVec
from reference.direct_io.rfc_2010.memory import PAGE_SIZE, Page
from reference.direct_io.source import FileExtent, IoVec, Request
from reference.machine import Bug, SlabObject, Steps, Stop
from reference.ondisk import Chunk

if TYPE_CHECKING:
    from reference.direct_io.rfc_2010.kernel import Kernel

__all__ = [
    "DIOLOCK",
    "BtrfsDioDev",
    "BtrfsDioExtcb",
    "BtrfsDiocb",
    "BtrfsInflate",
    "ExtentMap",
    "Limits",
    "UserMemControl",
]

DIOLOCK = Stop("spin_lock_irq(&diocb->diolock)")
"""Where the C takes the lock. What follows, up to the next stop, it does with the lock held."""


class Limits(NamedTuple):
    """The constants of the patch. Tests make them smaller, so that little data reaches them."""

    max_stripe_segments: int = 32
    """MAX_STRIPE_SEGMENTS: bios of an extcb, apart from CSUM_RESERVE_SEGMENTS, which is one more."""
    gup_iosubmit_max: int = 64
    gup_iodone_max: int = 33
    tmpbuf_size: int = PAGE_SIZE
    """Room for checksums."""


class ExtentMap(SlabObject):
    """`struct extent_map`: a part of the file, or a chunk."""

    __slots__ = ("chunk", "compressed", "inline", "item", "length", "orig_start", "start", "vacancy")

    def __init__(self, start: int, length: int, *, item: FileExtent | None, chunk: Chunk | None) -> None:
        self.start = start
        self.length = length
        """`len`."""
        self.orig_start = start
        """Where a compressed extent would begin in the file if all of it was there."""
        self.item = item
        """Where block_start, block_len and flags come from."""
        self.chunk = chunk
        """`bdev`, which for chunks is the `struct map_lookup`."""
        self.vacancy = item is None and chunk is None
        """EXTENT_FLAG_VACANCY: no item covers it."""

    def __repr__(self) -> str:
        return f"extent_map [{self.start}, +{self.length}]"


@dataclass(slots=True, eq=False)
class UserMemControl:
    """`struct btrfs_dio_user_mem_control`: the user's memory from where the read stands."""

    iov: Sequence[IoVec]
    user_iov: int
    """Which of `iov` is being processed."""
    iov_base: int
    """`work_iov`: what is left of that one."""
    iov_len: int
    remaining: int
    gup_max: int
    pagelist: list[Page]
    todo: int = 0
    next_user_page: int = 0
    user_pages_left: int = 0

    def next_iov(self) -> None:
        """Turn to the next vector; raises Bug where the C would read behind the last."""
        self.user_iov += 1
        if self.user_iov == len(self.iov):
            raise Bug("reads behind the last iovec")
        self.iov_base, self.iov_len = self.iov[self.user_iov]

    def follow(self, other: UserMemControl) -> None:
        """Stand where `other` stands, with no pages pinned."""
        self.iov, self.user_iov = other.iov, other.user_iov
        self.iov_base, self.iov_len = other.iov_base, other.iov_len
        self.remaining = other.remaining


@dataclass(slots=True, eq=False)
class BtrfsDioDev:
    """`struct btrfs_dio_dev`: where a stripe stands while bios are built for it."""

    physical: int = 0
    vecs: int = 0
    unplug: int = 0
    bio: Bio | None = None


@dataclass(slots=True, eq=False)
class BtrfsInflate:
    """`struct btrfs_inflate` of the patch's second part, as far as the first one shows it."""

    out_start: int
    """How much of the uncompressed extent comes before what is wanted."""
    out_len: int
    """How much is wanted; afterwards, how much there was."""
    get_next_in: Callable[[], BioVec | bytes | int]
    get_next_out: Callable[[], BioVec | int]
    done_with_out: Callable[[BioVec], None]


class BtrfsDioExtcb(SlabObject):
    """`struct btrfs_dio_extcb`: one extent, or a part of one, from its bios to their completion."""

    def __init__(self, diocb: BtrfsDiocb, em: ExtentMap | None, stripes: int) -> None:
        limits = diocb.kernel.limits
        self.diocb = diocb
        self.em = em
        self.umc = UserMemControl((), 0, 0, 0, 0, limits.gup_iodone_max, diocb.gup_iodone_pages)
        self.umc.follow(diocb.umc)
        self.active_umc: UserMemControl = self.umc
        self.icb: BtrfsInflate | None = None
        self.leaf_data = b""
        """`leaf`, as far as inline data are concerned."""
        self.filestart = diocb.start
        self.iostart = 0
        self.iolen = 0
        self.filetail = 0
        self.beforetail = 0
        self.lockstart = 0
        self.lockend = -1
        self.compressed = False
        self.stripes = stripes
        self.error = 0
        self.pending_bios = 1
        """One for who submits, so that completions do not end it."""
        self.shortread = 0
        self.retry_mirror = 0
        self.retry_len = 0
        self.retry_csum: int | None = None
        """None stands for 0."""
        self.retry_start = 0
        self.retry_bio: Bio | None = None
        self.tmpbuf_size = 0
        self.bo_now = 0
        self.bo_bvn = 0
        self.bo_frag = 0
        self.csum_pg1: Page | None = None
        self.csum_pg2: Page | None = None
        self.order: list[Bio] = []
        """`order`; its length is `bo_used`."""
        self.diodev = [BtrfsDioDev() for _ in range(stripes)]
        self.fileend = diocb.start
        """File offset behind what is read. Not in the C: the corrected tail and checks need it."""

    def __repr__(self) -> str:
        return f"extcb of file offset {self.filestart}"

    @property
    def mapped(self) -> ExtentMap:
        """`em`, which is there once the extent has one."""
        assert self.em is not None
        return self.em


@dataclass(eq=False)
class BtrfsDiocb(SlabObject):
    """`struct btrfs_diocb`: a user's request."""

    kernel: Kernel
    """Stands for globals, and for what hangs off the inode."""
    kiocb: Request
    start: int
    """File offset of what is to be submitted next."""
    begin: int
    terminate: int
    blocksize: int
    umc: UserMemControl
    reaper: Callable[[BtrfsDiocb], Steps[None]]
    gup_iodone_pages: list[Page] = field(default_factory=list)
    lockstart: int = 0
    lockend: int = 0
    workspace: bool = False
    csum_buf: bool = False
    error: int = 0
    error_at: int = 0
    """File offset of `error`. Not in the C."""
    sleeping: bool = False
    reaping: bool = False
    pending_extcbs: int = 0
    done_extcbs: list[BtrfsDioExtcb] = field(default_factory=list)
    """The last is taken first, like the C's list through `next`."""
    waiter: bool = False
    """Whether somebody waits or is about to."""
    waiter_running: bool = True
    """TASK_RUNNING of who waits."""
    under_way: list[BtrfsDioExtcb] = field(default_factory=list)
    """All extcbs that are not freed. Not in the C: for checks."""
