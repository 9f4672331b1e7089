# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules of mainline's reads that depend on earlier reads and on the way bios are cut, one by one."""

from __future__ import annotations

import errno
import random
from collections.abc import Collection

import pytest

from reference.direct_io.mainline import (
    BadBlock,
    Behaviour,
    BioKind,
    File,
    Outcome,
    Reader,
    Timing,
    Volume,
    error_may_be_lost,
)
from reference.direct_io.mainline.extent_map import ExtentMap, ExtentMapTree, MapKind
from reference.direct_io.source import Compression, ExtentType, FileExtent, IoVec, Request
from reference.ondisk import BlockGroupFlag, Chunk, ChunkMap, ChunkStripe
from reference.readahead.source import Stripe

BLOCK = 4096
MIB = 1 << 20
DISK = 16 * MIB
DATA = BlockGroupFlag.DATA


class Contents:
    """Each byte says in which block of the file system it is."""

    def __init__(self, corrupt: Collection[Stripe] = ()) -> None:
        self.corrupt = corrupt

    def bad_blocks(
        self, devid: int, physical: int, _logical: int | None, length: int, /
    ) -> dict[int, BadBlock]:
        places = {inside: Stripe(devid, physical + inside) for inside in range(0, length, BLOCK)}
        return {inside: BadBlock.CORRUPT for inside, place in places.items() if place in self.corrupt}

    def raw(self, logical: int, length: int) -> memoryview:
        return memoryview(
            b"".join(bytes([n % 251]) * BLOCK for n in range(logical // BLOCK, (logical + length) // BLOCK))
        )

    def copy(self, devid: int, physical: int, logical: int, length: int) -> memoryview:
        return memoryview(bytes([devid]) * length) if physical else self.raw(logical, length)

    def inflated(self, extent: FileExtent) -> memoryview:
        return memoryview(extent.inline_data or b"z" * extent.ram_bytes)


def plain(at: int, blocks: int, disk: int = DISK, *, kind: ExtentType = ExtentType.REG) -> FileExtent:
    length = blocks * BLOCK
    return FileExtent(at * BLOCK, kind, Compression.NONE, length, disk, length, 0, length)


def packed(at: int, blocks: int, disk: int, *, before: int = 0, whole: int = 32) -> FileExtent:
    return FileExtent(
        at * BLOCK,
        ExtentType.REG,
        Compression.ZSTD,
        whole * BLOCK,
        disk,
        BLOCK,
        before * BLOCK,
        blocks * BLOCK,
    )


def volume(profile: BlockGroupFlag = DATA, devices: int = 1) -> Volume:
    sub = 2 if profile & BlockGroupFlag.RAID10 else 1
    stripes = tuple(ChunkStripe(n, n * MIB) for n in range(1, devices + 1))
    return Volume(ChunkMap([Chunk(0, 1 << 30, profile, stripes, sub)]), frozenset(range(1, devices + 1)))


def reader(
    *items: FileExtent,
    size: int | None = None,
    on: Volume | None = None,
    behaviour: Behaviour = Behaviour.linux_6_18,
) -> Reader:
    end = items[-1].end if size is None else size
    return Reader(File(end, items), on or volume(), Contents(), behaviour)


def read(of: Reader, at: int, blocks: int, *, tid: int = 0, nowait: bool = False) -> Outcome:
    length = blocks * BLOCK
    request = Request(at * BLOCK, [IoVec(0, length)], length, pid=tid)
    return of.read(request, nowait=nowait)


def lengths(outcome: Outcome) -> list[int]:
    return [bio.length // BLOCK for bio in outcome.bios]


def test_neighbours_are_merged_when_both_were_read() -> None:
    both = reader(plain(0, 2), plain(2, 2, DISK + 2 * BLOCK))
    assert lengths(read(both, 0, 4)) == [2, 2]
    assert lengths(read(both, 0, 4)) == [4]


def test_in_6_1_a_map_made_of_two_is_not_merged_with_a_third() -> None:
    for behaviour, expected in ((Behaviour.linux_6_12, [6]), (Behaviour.linux_6_1, [4, 2])):
        items = [plain(n, 2, DISK + n * BLOCK) for n in (0, 2, 4)]
        three = reader(*items, behaviour=behaviour)
        read(three, 0, 6)
        assert lengths(read(three, 0, 6)) == expected


def test_an_empty_vector_at_an_odd_address_may_matter_where_a_bio_is_made() -> None:
    mapped, hole = plain(0, 2), FileExtent(0, num_bytes=BLOCK)
    first = [IoVec(5, 0), IoVec(BLOCK, 2 * BLOCK)]
    between = [IoVec(BLOCK, BLOCK), IoVec(5, 0), IoVec(4 * BLOCK, BLOCK)]
    last = [IoVec(BLOCK, 2 * BLOCK), IoVec(5, 0)]
    due = {
        Behaviour.linux_5_10: ("direct", "direct", "direct", "direct"),
        Behaviour.linux_6_1: ("EINVAL", "EINVAL", "direct", "EINVAL"),
        Behaviour.linux_6_12: ("EINVAL", "EINVAL", "direct", "EINVAL"),
        Behaviour.linux_6_18: ("direct", "direct", "direct", "direct"),
        Behaviour.linux_7_2: ("buffered", "direct", "direct", "buffered"),
    }
    behind_a_hole = (hole, plain(1, 1))
    cases = (((mapped,), first), ((mapped,), between), ((mapped,), last), (behind_a_hole, between))
    for behaviour, ways in due.items():
        for (items, iov), way in zip(cases, ways, strict=True):
            outcome = reader(*items, behaviour=behaviour).read(Request(0, iov, 2 * BLOCK))
            if way == "EINVAL":
                assert outcome.returned == -errno.EINVAL
                continue
            assert outcome.returned == 2 * BLOCK
            assert outcome.parts[-1].how.value == way, (behaviour, iov)


def test_neighbours_that_lie_elsewhere_or_are_preallocated_are_not() -> None:
    apart = reader(plain(0, 2), plain(2, 2, DISK + 3 * BLOCK))
    mixed = reader(plain(0, 2), plain(2, 2, DISK + 2 * BLOCK, kind=ExtentType.PREALLOC))
    for one, expected in ((apart, [2, 2]), (mixed, [2])):
        assert [lengths(read(one, 0, 4)) for _ in range(2)] == [expected] * 2


def test_a_map_goes_with_its_first_page() -> None:
    both = reader(plain(0, 2), plain(2, 2, DISK + 2 * BLOCK))
    read(both, 0, 4)
    odd = Request(1, [IoVec(0, BLOCK)], BLOCK)
    both.read(odd)
    both.cache.drop()
    # The merged map is gone; that of the second item alone is made first this time.
    assert lengths(read(both, 0, 4)) == [2, 2]


def test_maps_stay_when_pages_go_until_6_1() -> None:
    for behaviour, expected in ((Behaviour.linux_6_12, [2, 2]), (Behaviour.linux_6_1, [4])):
        both = reader(plain(0, 2), plain(2, 2, DISK + 2 * BLOCK), behaviour=behaviour)
        read(both, 0, 4)
        both.read(Request(1, [IoVec(0, BLOCK)], BLOCK))
        both.cache.drop()
        assert lengths(read(both, 0, 4)) == expected


def test_in_5_10_what_is_left_is_not_tried_again() -> None:
    for behaviour, calls in ((Behaviour.linux_6_1, [0, 2 * BLOCK]), (Behaviour.linux_5_10, [0])):
        mixed = reader(plain(0, 2), packed(2, 32, DISK + MIB), behaviour=behaviour)
        assert [call.pos for call in read(mixed, 0, 4).direct] == calls


def test_a_batch_is_made_longer_since_6_12() -> None:
    # Up to page 513, in chunks of 512: the second begins behind the extent in which the first ends.
    for behaviour, last in ((Behaviour.linux_6_12, 576), (Behaviour.linux_6_1, 544)):
        packed_file = reader(*(packed(32 * n, 32, DISK + n * BLOCK) for n in range(40)), behaviour=behaviour)
        assert read(packed_file, 1, 514).pages == list(range(1, last))


def test_a_compressed_extent_is_read_as_a_whole_and_kept() -> None:
    one = reader(packed(0, 32, DISK), plain(32, 8, DISK + MIB))
    first = read(one, 4, 1)
    assert (first.returned, first.pages) == (BLOCK, list(range(4, 32)))
    assert [bio.kind for bio in first.bios] == [BioKind.UNFLAGGED]
    assert read(one, 5, 3).bios == []
    one.cache.drop()
    assert len(read(one, 5, 3).bios) == 1


def test_a_chunk_that_was_made_longer_shifts_the_next() -> None:
    packed_file = reader(*(packed(32 * n, 32, DISK + n * BLOCK) for n in range(40)))
    outcome = read(packed_file, 1, 514)
    # Up to 513 in the first chunk, which ends with its extent, at 544; the second has two pages more.
    assert outcome.pages == list(range(1, 576))


def test_behind_the_end_memory_has_the_blocks_rest_and_zeros() -> None:
    one = reader(plain(0, 2), size=BLOCK + 100)
    outcome = read(one, 0, 4)
    assert outcome.returned == BLOCK + 100
    assert [len(w) if isinstance(w, memoryview) else w for _, w in outcome.writes] == [2 * BLOCK, 2 * BLOCK]
    assert [call.pos for call in outcome.direct] == [0, BLOCK + 100]


def test_without_waiting_one_block_of_a_plain_extent_can_be_read() -> None:
    one = reader(plain(0, 2), packed(2, 32, DISK + MIB))
    returned = [read(one, at, blocks, nowait=True).returned for at, blocks in ((0, 1), (0, 2), (2, 1))]
    assert returned == [BLOCK, -errno.EAGAIN, -errno.EAGAIN]


def test_without_checksums_what_the_chosen_copy_has_is_read() -> None:
    mirrored = volume(DATA | BlockGroupFlag.RAID1, 2)
    one = Reader(File(BLOCK, [plain(0, 1)], nodatasum=True), mirrored, Contents())
    assert [bytes(read(one, 0, 1, tid=tid).writes[0][1])[0] for tid in (0, 1)] == [1, 2]


def test_copies_are_tried_in_a_ring_and_all_bad_ones_written() -> None:
    mirrored = volume(DATA | BlockGroupFlag.RAID1C3, 3)
    bad = {Stripe(n, n * MIB + DISK + BLOCK) for n in (2, 3)}
    one = Reader(File(2 * BLOCK, [plain(0, 2)]), mirrored, Contents(bad))
    done = read(one, 0, 2, tid=1).completion
    assert [bio.devid for bio in done.reads] == [3, 1]
    assert {bio.devid for bio in done.writes} == {2, 3}
    assert (set(done.repaired), done.corruption_errs, done.failed) == (bad, {2: 1, 3: 1}, set())


def test_the_error_of_any_part_but_the_last_can_be_lost() -> None:
    striped = volume(DATA | BlockGroupFlag.RAID0, 2)
    submitted = read(reader(plain(0, 32), on=striped), 0, 32).submitted
    assert [one.bio.devid for one in submitted] == [1, 2]
    results = []
    for part in submitted:
        bad = {Stripe(part.bio.devid, part.bio.physical)}
        one = Reader(File(32 * BLOCK, [plain(0, 32)]), striped, Contents(bad))
        outcome = read(one, 0, 32)
        assert (outcome.returned, outcome.completion.lost) == (-errno.EIO, {part.logical})
        may_be_lost = error_may_be_lost(submitted, outcome.completion.failed)
        lost = one.read(Request(0, [IoVec(0, 32 * BLOCK)], 0), timing=Timing(0, returned=1 << 30))
        assert lost.error_lost == may_be_lost
        assert lost.returned == (32 * BLOCK if may_be_lost else -errno.EIO)
        results.append(may_be_lost)
    assert results == [True, False]


def test_pages_of_a_bio_that_fails_are_read_one_by_one() -> None:
    bad = {Stripe(1, MIB + DISK + 2 * BLOCK)}
    odd = Request(0, [IoVec(512, 4 * BLOCK)], 4 * BLOCK)
    for behaviour, first, second in (
        (Behaviour.linux_5_10, [4, 1], [1]),
        (Behaviour.linux_6_1, [4, 1, 1], [1, 1]),
        (Behaviour.linux_6_12, [4, 1, 1, 1], [1, 1]),
        (Behaviour.linux_7_2, [4, 1, 1, 1], [1]),
    ):
        one = Reader(File(4 * BLOCK, [plain(0, 4)]), volume(), Contents(bad), behaviour)
        # Pages are not locked any more when others are found: what can be read twice is.
        outcome = one.read(odd, timing=Timing(reads_in_all=99))
        assert (outcome.returned, lengths(outcome)) == (2 * BLOCK, first)
        # What was read is kept, and what was not is read again.
        assert lengths(one.read(odd, timing=Timing(reads_in_all=99))) == second
        assert lengths(one.read(odd)) == [1]


def test_a_lost_block_takes_its_place_among_vectors() -> None:
    bad = {Stripe(1, MIB + DISK)}
    striped = volume(DATA | BlockGroupFlag.RAID0, 2)
    iov = [IoVec(0, 16 * BLOCK), IoVec(5, 0), IoVec(MIB, 16 * BLOCK)]
    for behaviour in (Behaviour.linux_6_18, Behaviour.linux_7_2):
        one = Reader(
            File(32 * BLOCK, [plain(0, 16), plain(16, 16, 2 * DISK)]), striped, Contents(bad), behaviour
        )
        assert len(one.read(Request(0, iov, 32 * BLOCK)).bios) == 2


def test_an_error_that_comes_back_early_ends_the_read() -> None:
    bad = {Stripe(1, MIB + DISK)}
    one = Reader(File(600 * BLOCK, [plain(0, 600)]), volume(), Contents(bad))
    request = Request(0, [IoVec(0, 600 * BLOCK)], 0)
    sent = [len(one.read(request, timing=Timing(before)).bios) for before in (None, 0, 1, 2)]
    assert sent == [3, 1, 1, 2]


def test_maps_found_are_those_of_the_items_whatever_was_cached() -> None:
    for seed in range(200):
        rng = random.Random(seed)
        items, at = [], 0
        for n in range(8):
            at += rng.choice((0, 0, 3))
            kind = rng.choice((ExtentType.REG, ExtentType.REG, ExtentType.PREALLOC))
            count = rng.randrange(1, 5)
            items.append(plain(at, count, DISK + (at if rng.random() < 0.7 else 64 * n) * BLOCK, kind=kind))
            at += count
        file = File(at * BLOCK, items)
        tree = ExtentMapTree(file)
        for _ in range(40):
            block = rng.randrange(at + 2)
            if rng.random() < 0.2:
                tree.release(block * BLOCK)
            else:
                _compare(
                    tree.btrfs_get_extent(block * BLOCK, rng.randrange(1, 9) * BLOCK), file, block * BLOCK
                )
            tree.validate()


def _compare(found: ExtentMap, file: File, start: int) -> None:
    item = next((one for one in file.items if one.file_offset <= start < one.end), None)
    assert found.start <= start < found.end
    if item is None:
        assert found.kind is MapKind.HOLE
    else:
        assert found.kind.name == item.type.name
        assert found.block_start + start - found.start == item.disk_bytenr + start - item.file_offset


@pytest.mark.parametrize(
    ("maps", "complaint"),
    [
        ([ExtentMap(0, 8, MapKind.HOLE), ExtentMap(4, 8, MapKind.REG, 64)], "reaches into"),
        ([ExtentMap(0, 8, MapKind.HOLE), ExtentMap(8, 8, MapKind.HOLE)], "not merged"),
        ([ExtentMap(0, 0, MapKind.HOLE)], "empty"),
    ],
)
def test_broken_trees_of_maps_are_seen(maps: list[ExtentMap], complaint: str) -> None:
    tree = ExtentMapTree(File(0, ()))
    tree._maps = maps
    with pytest.raises(ValueError, match=complaint):
        tree.validate()
