# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading file systems that were written byte by byte: right ones, wrong ones, with devices missing."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest

from harness.metadata import FileSystem, MetadataError, tree_blocks
from harness.metadata.testing import GENERATION, SINGLE, ImageBuilder, sealed
from reference.ondisk import BlockGroupFlag, CsumType, KeyType, TreeId
from reference.readahead import MAX_KEY, MIN_KEY
from reference.readahead.source import Key, Root

F = BlockGroupFlag
PROFILES = [
    (SINGLE, 1, 0),
    (F.DUP, 1, 0),
    (F.RAID0, 1, 0),
    (F.RAID0, 3, 0),
    (F.RAID1, 2, 1),
    (F.RAID1C3, 3, 2),
    (F.RAID1C4, 4, 3),
    (F.RAID10, 4, 1),
    (F.RAID5, 2, 1),
    (F.RAID5, 3, 1),
    (F.RAID6, 3, 2),
    (F.RAID6, 5, 2),
]
"""Profiles, how many devices, and how many of them may be missing, whichever they are."""


def all_blocks(filesystem: FileSystem, tree: int = TreeId.EXTENT) -> list[int]:
    return [node.bytenr for node in tree_blocks(filesystem, filesystem.root(tree))]


@pytest.mark.parametrize(("profile", "devices", "spare"), PROFILES)
@pytest.mark.parametrize("nodesize", [4096, 16384, 65536])
def test_each_profile_is_read_with_devices_missing(
    tmp_path: Path, profile: BlockGroupFlag, devices: int, spare: int, nodesize: int
) -> None:
    builder = ImageBuilder(profile, devices, nodesize, rows=24)
    paths = builder.save(tmp_path)
    for missing in range(spare + 1):
        for there in combinations(paths, devices - missing):
            with FileSystem(reversed(there), degraded=bool(missing)) as filesystem:
                assert len(filesystem.missing) == missing
                found = {bytenr: filesystem.block(bytenr) for bytenr in all_blocks(filesystem)}
            assert len(found) == builder.leaves + 1
            assert all(block == builder.blocks[bytenr] for bytenr, block in found.items())


@pytest.mark.parametrize(("profile", "devices", "spare"), [p for p in PROFILES if p[2]])
def test_one_device_too_few(tmp_path: Path, profile: BlockGroupFlag, devices: int, spare: int) -> None:
    paths = ImageBuilder(profile, devices, rows=24).save(tmp_path)
    failed = 0
    for there in combinations(paths, devices - spare - 1):
        try:
            with FileSystem(there, degraded=True) as filesystem:
                all_blocks(filesystem)
        except MetadataError:
            failed += 1
    assert failed


@pytest.mark.parametrize("csum", CsumType)
def test_each_checksum(tmp_path: Path, csum: CsumType) -> None:
    builder = ImageBuilder(csum=csum)
    with FileSystem(builder.save(tmp_path)) as filesystem:
        assert len(all_blocks(filesystem)) == 4
    builder.damage(builder.extent_root, 1, b"x")
    with (
        FileSystem(builder.save(tmp_path)) as filesystem,
        pytest.raises(MetadataError, match="checksum is wrong"),
    ):
        all_blocks(filesystem)


@pytest.mark.parametrize("profile", [F.RAID1, F.RAID5, F.RAID6])
def test_a_bad_copy_is_passed_over(tmp_path: Path, profile: BlockGroupFlag) -> None:
    builder = ImageBuilder(profile, devices=2 if profile == F.RAID1 else 4)
    for bytenr in builder.blocks:
        builder.damage(bytenr, 1, b"damaged")
    with FileSystem(builder.save(tmp_path)) as filesystem:
        assert [filesystem.block(b) for b in all_blocks(filesystem)]


def test_raid6_without_a_device_and_with_a_bad_stripe(tmp_path: Path) -> None:
    """Mirrors from 3 on give up another stripe each, until it is the bad one."""
    builder = ImageBuilder(F.RAID6, devices=5, rows=24)
    row = builder.chunks.row(builder.extent_root)
    lost, bad = row.stripes[row.wanted], row.stripes[(row.wanted + 1) % 3]
    builder.contents[bad.devid][bad.physical + 300] ^= 0xFF
    paths = builder.save(tmp_path)
    with FileSystem([p for n, p in enumerate(paths, 1) if n != lost.devid], degraded=True) as filesystem:
        assert filesystem.block(builder.extent_root) == builder.blocks[builder.extent_root]


def test_a_range_of_keys(tmp_path: Path) -> None:
    builder = ImageBuilder(leaves=8)
    with FileSystem(builder.save(tmp_path)) as filesystem:
        root = filesystem.root(TreeId.EXTENT)

        def leaves(key_start: Key, key_end: Key) -> list[int]:
            blocks = tree_blocks(filesystem, root, key_start, key_end)
            return [node.keys[0].objectid >> 20 for node in blocks if not node.level]

        assert leaves(MIN_KEY, MAX_KEY) == [*range(8)]
        assert leaves(Key(2 << 20, 0, 0), Key(4 << 20, 0, 0)) == [1, 2, 3]
        assert leaves(Key(3 << 20, 255, 0), Key(3 << 20, 255, 1)) == [3]


def test_a_device_that_missed_transactions(tmp_path: Path) -> None:
    """What is on it is good by itself, and old: the other copy is taken."""
    builder = ImageBuilder(F.RAID1, devices=2)
    place = builder.extent_root
    old = builder.leaf(place, [(Key(1, KeyType.EXTENT_ITEM, 1), bytes(24))], GENERATION - 1)
    builder.damage(place, 1, old, at=0)
    builder.write_superblock(1, GENERATION - 1)
    paths = builder.save(tmp_path)
    with pytest.raises(MetadataError, match=r"is of transaction 6, others are of 7: leave it out"):
        FileSystem(paths)
    with FileSystem(paths, degraded=True) as filesystem:
        assert len(all_blocks(filesystem)) == 4
        assert filesystem.node(place).generation == GENERATION


def truncated(builder: ImageBuilder) -> None:
    builder.contents[1] = builder.contents[1][: (128 << 10) + 100]


def tiny(builder: ImageBuilder) -> None:
    builder.contents[1] = builder.contents[1][:66_000]


def bad_magic(builder: ImageBuilder) -> None:
    builder.write_superblock(1, magic=1)


def bad_superblock_checksum(builder: ImageBuilder) -> None:
    builder.contents[1][(64 << 10) + 300] ^= 1


def bad_nodesize(builder: ImageBuilder) -> None:
    builder.write_superblock(1, nodesize=5000)


def bad_checksum_type(builder: ImageBuilder) -> None:
    builder.write_superblock(1, csum_type=9)


def bad_place(builder: ImageBuilder) -> None:
    builder.write_superblock(1, bytenr=4096)


def bad_array(builder: ImageBuilder) -> None:
    builder.write_superblock(1, array_size=60)


def bad_block_checksum(builder: ImageBuilder) -> None:
    builder.damage(builder.extent_root, 1, b"x")


def other_block(builder: ImageBuilder) -> None:
    builder.put(builder.extent_root, builder.blocks[builder.root])


def other_fsid(builder: ImageBuilder) -> None:
    other = ImageBuilder(fsid=bytes(16))
    builder.put(builder.extent_root, other.blocks[other.extent_root])


def bad_level(builder: ImageBuilder) -> None:
    builder.put(builder.extent_root, builder.block(builder.extent_root, 8, []))


def no_pointers(builder: ImageBuilder) -> None:
    builder.put(builder.extent_root, builder.block(builder.extent_root, 1, []))


def children(builder: ImageBuilder, *places: int, generation: int = GENERATION) -> None:
    """Let the extent tree's root point to `places`."""
    entries = [(Key(n << 20, KeyType.EXTENT_ITEM, 4096), place, generation) for n, place in enumerate(places)]
    builder.put(builder.extent_root, builder.node(builder.extent_root, 1, entries))


def loop(builder: ImageBuilder) -> None:
    children(builder, builder.extent_root)


def long_loop(builder: ImageBuilder) -> None:
    """Root of level 2, node of level 1 that points to the root."""
    key = Key(0, KeyType.EXTENT_ITEM, 4096)
    below = builder.next_place()
    builder.put(below, builder.node(below, 1, [(key, builder.extent_root, GENERATION)]))
    builder.put(builder.extent_root, builder.node(builder.extent_root, 2, [(key, below, GENERATION)]))


def hole(builder: ImageBuilder) -> None:
    children(builder, 1 << 40)


def unaligned(builder: ImageBuilder) -> None:
    children(builder, builder.chunk.start + 77)


def stale(builder: ImageBuilder) -> None:
    first = min(b for b in builder.blocks if b not in (builder.chunk_root,))
    children(builder, first, generation=GENERATION + 3)


def wrong_child(builder: ImageBuilder) -> None:
    leaves = sorted(builder.blocks)[1:4]
    children(builder, leaves[1], leaves[0])


def disorder(builder: ImageBuilder) -> None:
    leaf = sorted(builder.blocks)[1]
    entries = [(Key(n, KeyType.EXTENT_ITEM, 4096), leaf, GENERATION) for n in (2, 1)]
    builder.put(builder.extent_root, builder.node(builder.extent_root, 1, entries))


def bad_items(builder: ImageBuilder) -> None:
    block = bytearray(builder.blocks[builder.root])
    block[101 + 17] ^= 4
    builder.put(builder.root, sealed(bytes(block), builder.csum))


def no_tree(builder: ImageBuilder) -> None:
    key = Key(TreeId.CSUM, KeyType.ROOT_ITEM, 0)
    builder.put(builder.root, builder.leaf(builder.root, [(key, bytes(239))]))


BAD: dict[Callable[[ImageBuilder], None], str] = {
    truncated: r"device-1\.img cannot be read at \d+ .*, and no other copy is good",
    tiny: r"device-1\.img: it is too short to have a superblock: give a device",
    bad_magic: r"no btrfs is on it \(the magic number is missing\)",
    bad_superblock_checksum: r"the superblock's checksum is wrong",
    bad_nodesize: r"the superblock is damaged: nodesize 5000",
    bad_checksum_type: r"checksum type 9 is not known",
    bad_place: r"the superblock is damaged: it says to be at 4096",
    bad_array: r"chunk \d+: 43 bytes are too few",
    bad_block_checksum: r"block \d+: its checksum is wrong, and no other copy is good",
    other_block: r"block \d+: what is there says to be block \d+",
    other_fsid: r"block \d+: it is of another file system \(0{32}\)",
    bad_level: r"block \d+: it is of level 8",
    no_pointers: r"block \d+: it says to have 0 pointers",
    loop: r"block \d+ is of level 1 where 0 belongs: the tree is damaged",
    long_loop: r"block \d+ is of level 2 where 0 belongs: the tree is damaged",
    hole: r"block 1099511627776 is pointed to, but no chunk has it",
    unaligned: r"block \d+: a pointer does not point to a sector",
    stale: r"block \d+ is of transaction 7, 10 was expected: the tree is damaged",
    wrong_child: r"block \d+ begins with another key than its parent says",
    disorder: r"block \d+: its keys are not in order",
    bad_items: r"block \d+: the data of item 0 is where it cannot be",
    no_tree: r"there is no tree 2",
}
"""What is done to a file system, and the line that says what is wrong with it."""


@pytest.mark.parametrize("spoil", BAD, ids=lambda spoil: spoil.__name__)
@pytest.mark.timeout(10)
def test_bad_input_ends_in_one_line(tmp_path: Path, spoil: Callable[[ImageBuilder], None]) -> None:
    builder = ImageBuilder()
    spoil(builder)
    paths = builder.save(tmp_path)
    with pytest.raises(MetadataError, match=BAD[spoil]) as raised, FileSystem(paths) as filesystem:
        all_blocks(filesystem)
    assert "\n" not in str(raised.value)


def test_a_block_of_which_the_end_has_no_chunk(tmp_path: Path) -> None:
    builder = ImageBuilder(nodesize=16384)
    with (
        FileSystem(builder.save(tmp_path)) as filesystem,
        pytest.raises(MetadataError, match=r"no chunk has address \d+, and no other copy is good"),
    ):
        filesystem.node(builder.chunk.end - 4096)


def test_a_hole_is_not_mapped(tmp_path: Path) -> None:
    builder = ImageBuilder()
    with FileSystem(builder.save(tmp_path)) as filesystem:
        assert filesystem.map_block(builder.chunk.end) is None
        assert filesystem.lookup_block_group(builder.chunk.start - 1) is None
        with pytest.raises(KeyError):
            filesystem.node(builder.chunk.end)


def test_devices_of_two_file_systems(tmp_path: Path) -> None:
    first = ImageBuilder().save(tmp_path)
    (tmp_path / "other").mkdir()
    second = ImageBuilder(fsid=bytes(16)).save(tmp_path / "other")
    with pytest.raises(MetadataError, match=r"is of file system 0{8}-.* of 00010203-.*: give devices of one"):
        FileSystem([*first, *second])


def test_the_same_device_twice(tmp_path: Path) -> None:
    (path,) = ImageBuilder().save(tmp_path)
    with pytest.raises(MetadataError, match=r"is device 1, as is .*: leave one out"):
        FileSystem([path, path])


def test_a_missing_device_is_named(tmp_path: Path) -> None:
    paths = ImageBuilder(F.RAID1C3, devices=3).save(tmp_path)
    with pytest.raises(MetadataError, match=r"of 3 devices, 1, 3 are missing: give them too, or allow"):
        FileSystem(paths[1:2])


def test_no_devices_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(MetadataError, match="no device is given"):
        FileSystem([])
    with pytest.raises(MetadataError, match=r"cannot be opened \(No such file"):
        FileSystem([tmp_path / "none"])
    with pytest.raises(MetadataError, match=r"cannot be read \(Is a directory\)"):
        FileSystem([tmp_path])


def test_nothing_is_left_open(tmp_path: Path) -> None:
    builder = ImageBuilder(F.RAID1, devices=2)
    paths = builder.save(tmp_path)
    before = len(list(Path("/proc/self/fd").iterdir()))
    FileSystem(paths).close()
    with pytest.raises(MetadataError):
        FileSystem(paths[:1])
    with pytest.raises(MetadataError):
        FileSystem([*paths, tmp_path])
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_the_roots_of_trees(tmp_path: Path) -> None:
    builder = ImageBuilder()
    with FileSystem(builder.save(tmp_path)) as filesystem:
        assert filesystem.root(TreeId.EXTENT) == Root(builder.extent_root, GENERATION)
        assert filesystem.root(TreeId.ROOT) == Root(builder.root, GENERATION)
        assert filesystem.root(TreeId.CHUNK) == Root(builder.chunk_root, GENERATION)
        assert filesystem.superblock.label == "small"
