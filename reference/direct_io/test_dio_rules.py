# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules of the patch that one case shows, and what random cases do not reach."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from reference.direct_io.rfc_2010 import Behaviour, Kernel, UserMemory, btrfs_direct_IO
from reference.direct_io.rfc_2010.bio import Bio, BlockDevice, bio_add_page
from reference.direct_io.rfc_2010.memory import Page
from reference.direct_io.rfc_2010.order import btrfs_dio_get_next_in, btrfs_dio_put_next_in
from reference.direct_io.rfc_2010.structs import BtrfsDiocb, BtrfsDioExtcb, UserMemControl
from reference.direct_io.rfc_2010.user_memory import btrfs_dio_get_user_bvec, btrfs_dio_not_aligned
from reference.direct_io.run import Run, run
from reference.direct_io.source import FileExtent, IoVec
from reference.direct_io.synthetic import (
    BLOCK,
    Case,
    ChunkSpec,
    Disk,
    DiskSpec,
    ExtentSpec,
    FaultSpec,
    SyntheticFile,
    build,
)
from reference.machine import Bug, Machine, Slab, Steps, UseAfterFree
from reference.ondisk import BlockGroupFlag

MEMORY = 0x10000
CORRECTED = Behaviour.corrected


def read(case: Case, behaviour: Behaviour = CORRECTED) -> Run:
    return run(case, behaviour)


def bios(done: Run) -> list[tuple[int, int]]:
    """Return device and length of each bio, in order."""
    return [(bio.devid, bio.length) for bio in done.kernel.submitted]


def plain(blocks: int, *, length: int | None = None, **more: object) -> Case:
    size = blocks * BLOCK if length is None else length
    return replace(Case((ExtentSpec("plain", blocks),), iov=(IoVec(MEMORY, size),)), **more)  # type: ignore[arg-type]


def test_holes_and_prealloc_need_no_bio() -> None:
    done = read(Case((ExtentSpec("hole", 2), ExtentSpec("prealloc", 2)), iov=(IoVec(MEMORY, 4 * BLOCK),)))
    assert (done.result, bios(done)) == (4 * BLOCK, [])


def test_a_part_of_a_block_is_read_with_all_of_it_for_its_checksum() -> None:
    done = read(plain(1, length=512, offset=1024))
    assert (done.result, bios(done)) == (512, [(1, 1024), (1, 512), (1, 2560)])


def test_without_checksums_only_what_is_wanted_is_read() -> None:
    done = read(plain(1, length=512, offset=1024, nodatasum=True))
    assert (done.result, bios(done)) == (512, [(1, 512)])


def test_the_end_of_the_file_is_copied_to_the_byte() -> None:
    done = read(plain(1, cut=BLOCK - 700))
    page = done.kernel.memory.pages[MEMORY // BLOCK].data
    assert (done.result, bios(done)) == (700, [(1, 512), (1, BLOCK - 512)])
    assert page[700:] == b"\xa5" * (BLOCK - 700)


def test_bios_end_with_stripes() -> None:
    case = plain(3, chunks=(ChunkSpec(BlockGroupFlag.RAID0, (1, 2), BLOCK),), disks=(DiskSpec(), DiskSpec()))
    assert bios(read(case)) == [(1, BLOCK), (2, BLOCK), (1, BLOCK)]


def test_a_control_block_has_32_bios() -> None:
    done = read(plain(70, disks=(DiskSpec(nr_vecs=1),)))
    assert (done.result, len(done.kernel.submitted)) == (70 * BLOCK, 70)
    assert len(read(plain(32, disks=(DiskSpec(nr_vecs=1),))).kernel.submitted) == 32


def test_a_bad_block_is_read_again_from_the_first_copy_on() -> None:
    mirrors = (ChunkSpec(BlockGroupFlag.RAID1C3, (1, 2, 3)),)
    case = plain(2, chunks=mirrors, disks=(DiskSpec(),) * 3, pid=1, faults=(FaultSpec("corrupt", 0, 1, 1),))
    done = read(case)
    assert (done.result, bios(done)) == (2 * BLOCK, [(2, 2 * BLOCK), (1, BLOCK)])


def test_with_all_copies_bad_what_is_before_is_returned() -> None:
    faults = (FaultSpec("corrupt", 0, 1, 0), FaultSpec("corrupt", 0, 1, 1))
    mirrors = (ChunkSpec(BlockGroupFlag.RAID1, (1, 2)),)
    assert read(plain(3, chunks=mirrors, disks=(DiskSpec(),) * 2, faults=faults)).result == BLOCK


def test_a_sector_of_4_kib_refuses_less() -> None:
    disks = (DiskSpec(logical_block_size=4096),)
    assert read(plain(1, disks=disks)).result == BLOCK
    assert read(plain(1, disks=disks, length=512)).result == -errno.ENOTBLK


def test_a_compressed_extent_is_read_whole() -> None:
    case = Case((ExtentSpec("zlib", 6, content=3),), offset=4 * BLOCK, iov=(IoVec(MEMORY, 512),))
    done = read(case)
    item = build(case).extents[0]
    assert (done.result, bios(done)) == (512, [(1, item.disk_num_bytes)])


def test_a_compressed_extent_must_fit_in_a_control_block() -> None:
    case = Case((ExtentSpec("zlib", 8, content=3),), iov=(IoVec(MEMORY, BLOCK),), limits=(2, 64, 33, BLOCK))
    assert read(replace(case, disks=(DiskSpec(nr_vecs=1),))).result == -errno.EIO


@pytest.mark.parametrize("count", range(1, 14))
@pytest.mark.parametrize("kind", ["plain", "zlib", "inline-zlib"])
def test_any_allocation_may_fail(kind: str, count: int) -> None:
    extent = ExtentSpec(kind, 1 if kind.startswith("inline") else 6, content=3, inline_bytes=900)
    faults = (FaultSpec("corrupt", 0, 0, 0),)
    case = Case((extent,), faults=faults, iov=(IoVec(MEMORY, extent.blocks * BLOCK),), allocations=(count,))
    assert read(replace(case, limits=(2, 2, 33, BLOCK))).result in (-errno.ENOMEM, -errno.EIO, BLOCK)


@pytest.mark.parametrize("count", range(1, 14))
def test_any_allocation_of_a_split_may_fail(count: int) -> None:
    case = plain(6, disks=(DiskSpec(nr_vecs=1),), limits=(2, 64, 33, BLOCK), allocations=(count,))
    done = read(replace(case, iov=(IoVec(MEMORY + 512, 6 * BLOCK),)))
    assert done.result == -errno.ENOMEM or done.result % BLOCK == 0


def test_a_checksum_leaf_that_cannot_be_read() -> None:
    assert read(plain(1, faults=(FaultSpec("csum-unreadable", 0),))).result == -errno.EIO


def test_a_tail_that_a_device_refuses() -> None:
    disks = (DiskSpec(logical_block_size=4096),)
    assert read(plain(2, cut=BLOCK - 100, disks=disks, nodatasum=True)).result == BLOCK


def test_inline_data_without_memory_for_them() -> None:
    case = Case((ExtentSpec("inline", inline_bytes=100),), unmapped=(MEMORY // BLOCK,))
    assert read(case).result == -errno.EFAULT


def test_behind_inline_data_the_file_is_zeroes_and_as_posted_an_error() -> None:
    case = Case((ExtentSpec("inline", inline_bytes=100),), offset=512, iov=(IoVec(MEMORY, 512),))
    assert read(case).result == 512
    assert read(case, CORRECTED.having("inline_ends_request", "diocb_keeps_pages")).result == -errno.EDOM


def test_a_copy_that_cannot_be_read_again_is_passed_over() -> None:
    mirrors = (ChunkSpec(BlockGroupFlag.RAID1C3, (1, 2, 3)),)
    faults = (FaultSpec("bad", 0, 0, 0), FaultSpec("bad", 0, 0, 1))
    done = read(plain(1, chunks=mirrors, disks=(DiskSpec(),) * 3, faults=faults))
    assert (done.result, [devid for devid, _ in bios(done)]) == (BLOCK, [1, 1, 2, 3])


def test_a_failed_bio_of_less_than_a_block_and_as_posted_it_never_ends() -> None:
    mirrors = (ChunkSpec(BlockGroupFlag.RAID1, (1, 2)),)
    disks, faults = (DiskSpec(), DiskSpec()), (FaultSpec("bad", 0, 0, 0),)
    case = plain(1, length=512, chunks=mirrors, disks=disks, faults=faults, nodatasum=True)
    assert read(case).result == 512
    with pytest.raises(Bug, match="behind the last bio"):
        read(case, CORRECTED.having("retry_steps_whole_blocks"))


def test_a_missing_copy_is_passed_over_and_as_posted_an_oops() -> None:
    mirrors = (ChunkSpec(BlockGroupFlag.RAID1C3, (1, 2, 3)),)
    disks = (DiskSpec(missing=True), DiskSpec(), DiskSpec())
    case = plain(1, chunks=mirrors, disks=disks, pid=1, faults=(FaultSpec("bad", 0, 0, 1),))
    assert [devid for devid, _ in bios(read(case))] == [2, 2, 3]
    with pytest.raises(Bug, match="missing device"):
        read(case, CORRECTED.having("asks_missing_device"))


def test_a_stream_that_its_extent_cuts_off() -> None:
    case = Case((ExtentSpec("zlib", 8, content=3),), iov=(IoVec(MEMORY, 8 * BLOCK),))
    file = build(case)
    file.extents[0] = replace(file.extents[0], disk_num_bytes=BLOCK)
    assert run(case, CORRECTED, file).result == -errno.EIO


@contextmanager
def inline_gone(file: SyntheticFile, found: FileExtent | int | None) -> Iterator[Kernel]:
    """Let the second look at the tree find something else, as if it had changed."""

    class Changing(SyntheticFile):
        looks = 0

        def extent_at(self, offset: int) -> FileExtent | int | None:
            self.looks += 1
            return super().extent_at(offset) if self.looks == 1 else found

    changing = Changing(file.i_size, file.nodatasum, file.devices, file.extents, file.chunks)
    changing.starts = file.starts
    yield Kernel(Machine(), changing, UserMemory({MEMORY // BLOCK}))


@pytest.mark.parametrize(("found", "error"), [(None, -errno.EDOM), (-errno.EIO, -errno.EIO)])
def test_an_inline_item_that_is_gone(found: int | None, error: int) -> None:
    case = Case((ExtentSpec("inline", inline_bytes=100),))
    with inline_gone(build(case), found) as kernel:
        task = kernel.machine.task("reader", btrfs_direct_IO(kernel, case.request))
        while choices := kernel.machine.choices():
            kernel.machine.step(choices[0])
        assert task.result == error


def test_a_user_page_that_was_released_too_often() -> None:
    memory = UserMemory({1})
    memory.slab.died(memory.pages[1])
    with pytest.raises(UseAfterFree, match="under its mapping"):
        memory.check_released()


def test_a_bio_has_room_for_so_many_vectors() -> None:
    slab = Slab("bio")
    bio = Bio(slab, 1, BlockDevice(1, Disk(512, 1, BLOCK * 4)), 0, None, end_nothing)
    assert bio_add_page(bio, Page(slab), 512, 0) == 512
    assert bio_add_page(bio, Page(slab), 512, 0) == 0


def end_nothing(_bio: Bio, _error: int) -> Steps[None]:
    yield from ()


def user_memory(*iov: IoVec) -> UserMemControl:
    return UserMemControl(iov, 0, *iov[0], sum(each.iov_len for each in iov), 64, [])


def an_extcb() -> BtrfsDioExtcb:
    kernel = Kernel(Machine(), build(Case((ExtentSpec("plain"),))), UserMemory({MEMORY // BLOCK}))
    umc = user_memory(IoVec(MEMORY, BLOCK))

    def nobody(_diocb: BtrfsDiocb) -> Steps[None]:
        yield from ()

    case = Case((ExtentSpec("plain"),))
    return BtrfsDioExtcb(BtrfsDiocb(kernel, case.request, 0, 0, BLOCK, BLOCK, umc, nobody), None, 0)


def test_what_was_given_back_can_be_given_back_with_more() -> None:
    extcb = an_extcb()
    slab = Slab("bio")
    bio = Bio(slab, 4, BlockDevice(1, Disk(512, 4, 4 * BLOCK)), 0, None, end_nothing)
    for _ in range(2):
        bio_add_page(bio, Page(slab), BLOCK, 0)
    extcb.order.append(bio)
    for _ in range(2):
        btrfs_dio_get_next_in(extcb)
    btrfs_dio_put_next_in(extcb, 1000)
    btrfs_dio_put_next_in(extcb, 500)
    vec = btrfs_dio_get_next_in(extcb)
    assert (vec.bv_offset, vec.bv_len) == (BLOCK - 1500, 1500)


def test_memory_behind_the_request_is_never_asked_for() -> None:
    kernel = an_extcb().diocb.kernel
    umc = user_memory(IoVec(MEMORY, 512), IoVec(MEMORY + 512, 0))
    umc.todo = 512
    btrfs_dio_get_user_bvec(kernel, umc)
    with pytest.raises(Bug, match="behind the last iovec"):
        btrfs_dio_get_user_bvec(kernel, umc)
    umc = user_memory(IoVec(MEMORY, 1024))
    with pytest.raises(Bug, match="for ever"):
        btrfs_dio_get_user_bvec(kernel, umc)


def test_alignment_is_asked_of_each_vector_but_the_end_of_the_last() -> None:
    def refused(length: int, *iov: IoVec) -> bool:
        return btrfs_dio_not_aligned(CORRECTED, 1023, length, user_memory(*iov))

    assert not refused(1536, IoVec(0, 1024), IoVec(4096, 512))
    assert refused(2048, IoVec(0, 1024), IoVec(4096, 512), IoVec(8192, 512))
    assert refused(2048, IoVec(0, 512), IoVec(4096, 1536))
    assert refused(2048, IoVec(0, 1024), IoVec(4608, 1024))
    assert not refused(2048, IoVec(0, 1024), IoVec(1, 0), IoVec(4096, 1024))
    with pytest.raises(Bug, match="behind the last iovec"):
        refused(4096, IoVec(0, 1024))
