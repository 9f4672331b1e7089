# SPDX-License-Identifier: GPL-2.0-or-later
"""Walk and engine read file systems that were written byte by byte, with all that can be wrong with them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from errno import EIO, EUCLEAN
from pathlib import Path

import pytest

from harness.bundle import BundleWriter
from harness.errors import UserError
from harness.judge.metadata_reads import check_reads
from harness.metadata import FileSystem, MetadataError
from harness.metadata.testing import GENERATION, SINGLE, ImageBuilder
from harness.readahead.direct import DirectReadahead
from harness.readahead.excerpt import Device, Excerpt
from harness.readahead.methods import Method, ReadAhead, Walk, wanted
from harness.readahead.reads import Run, load_runs, save_runs
from harness.verdicts import Verdict
from reference.ondisk import BlockGroupFlag, KeyType, TreeId
from reference.readahead import Behaviour, Key

F = BlockGroupFlag
SEED, LINUX = ReadAhead(Behaviour.seed_2011, depth=2), ReadAhead(Behaviour.linux_5_10, depth=2)
METHODS: tuple[Method, ...] = (Walk(), Walk(turn=1), SEED, LINUX)
LEAVES = 8

pytestmark = pytest.mark.timeout(20)


def builder_of(profile: BlockGroupFlag, devices: int) -> ImageBuilder:
    return ImageBuilder(profile, devices, leaves=LEAVES, rows=24)


def read(filesystem: FileSystem, method: Method) -> Run:
    return method.read(filesystem, [wanted(filesystem, TreeId.EXTENT)])


def excerpt(filesystem: FileSystem) -> Excerpt:
    devices = [Device(devid, devid in filesystem.missing) for devid in filesystem.known]
    root = filesystem.root(TreeId.EXTENT)
    return Excerpt.of(filesystem, [root.bytenr], devices, (KeyError, MetadataError))


@pytest.mark.parametrize("method", METHODS, ids=["walk", "walk from 2", "seed", "5.10"])
@pytest.mark.parametrize(
    ("profile", "devices"),
    [(SINGLE, 1), (F.RAID0, 3), (F.RAID1, 2), (F.RAID10, 4), (F.RAID5, 3), (F.RAID6, 4)],
)
def test_the_tree_is_read(tmp_path: Path, profile: BlockGroupFlag, devices: int, method: Method) -> None:
    with FileSystem(builder_of(profile, devices).save(tmp_path)) as filesystem:
        run = read(filesystem, method)
        checks = check_reads(excerpt(filesystem), [run])
    assert [check.verdict for check in checks] == [Verdict.PASS] * 4
    assert len(run.reads) == LEAVES + 1
    assert run.wall_ns >= max(block.end_ns for block in run.reads) - run.reads[0].submitted_ns


@pytest.mark.parametrize(("profile", "devices"), [(F.DUP, 1), (F.RAID1C3, 3), (F.RAID1C4, 4)])
def test_what_5_10_reads_and_the_seed_drops(tmp_path: Path, profile: BlockGroupFlag, devices: int) -> None:
    """Two copies on a device; more copies than the two that there were in 2011."""
    with FileSystem(builder_of(profile, devices).save(tmp_path)) as filesystem:
        runs = [read(filesystem, method) for method in (Walk(), LINUX, SEED)]
        checks = check_reads(excerpt(filesystem), runs)
    assert [len(run.reads) for run in runs] == [LEAVES + 1, LEAVES + 1, 0]
    assert all(check.verdict is Verdict.PASS for check in checks)


@pytest.mark.parametrize("method", METHODS, ids=["walk", "walk from 2", "seed", "5.10"])
def test_with_a_device_missing(tmp_path: Path, method: Method) -> None:
    paths = builder_of(F.RAID1, 2).save(tmp_path)
    with FileSystem(paths[:1], degraded=True) as filesystem:
        run = read(filesystem, method)
        checks = check_reads(excerpt(filesystem), [run])
    assert [check.verdict for check in checks] == [Verdict.PASS] * 4
    assert {block.err for block in run.reads if block.devid == 2} <= {-EIO}


def test_two_readaheads_of_a_tree_read_each_block_once(tmp_path: Path) -> None:
    with FileSystem(builder_of(F.RAID1, 2).save(tmp_path)) as filesystem:
        tree = wanted(filesystem, TreeId.EXTENT)
        run = LINUX.read(filesystem, [tree, tree])
    assert len(run.reads) == LEAVES + 1
    assert len(run.finished_ns) == 2


@pytest.mark.parametrize("method", [SEED, LINUX], ids=["seed", "5.10"])
def test_a_range_of_keys(tmp_path: Path, method: Method) -> None:
    with FileSystem(builder_of(F.RAID1, 2).save(tmp_path)) as filesystem:
        part = wanted(filesystem, TreeId.EXTENT, Key(2 << 20, 0, 0), Key(4 << 20, 0, 0))
        run = method.read(filesystem, [part])
        checks = check_reads(excerpt(filesystem), [run])
    assert len(run.reads) == 1 + 3, "the root, and leaves 1 to 3"
    assert [check.verdict for check in checks] == [Verdict.PASS] * 4


def spoilt_leaf(builder: ImageBuilder) -> int:
    """Damage each copy of a leaf."""
    leaf = sorted(builder.blocks)[2]
    for number in range(1, builder.chunk.copies + 1):
        builder.damage(leaf, number, b"damaged")
    return leaf


def test_a_bad_leaf_is_passed_over_by_readahead_and_ends_the_walk(tmp_path: Path) -> None:
    builder = builder_of(F.RAID1, 2)
    leaf = spoilt_leaf(builder)
    with FileSystem(builder.save(tmp_path)) as filesystem:
        for method in (SEED, LINUX):
            run = read(filesystem, method)
            assert {block.logical: block.err for block in run.reads if block.err} == {leaf: -EUCLEAN}
            assert len(run.reads) == LEAVES + 1
        with pytest.raises(MetadataError, match=f"block {leaf}: no copy of it is good"):
            read(filesystem, Walk())


def test_the_walk_takes_the_other_copy(tmp_path: Path) -> None:
    builder = builder_of(F.RAID1, 2)
    builder.damage(builder.extent_root, 1, b"damaged")
    with FileSystem(builder.save(tmp_path)) as filesystem:
        run = read(filesystem, Walk())
        assert [(block.mirror_num, block.err) for block in run.reads[:2]] == [(1, -EUCLEAN), (2, 0)]
        assert all(check.verdict is Verdict.PASS for check in check_reads(excerpt(filesystem), [run]))


def point_to(builder: ImageBuilder, place: int, generation: int = GENERATION) -> None:
    """Let the extent tree's root point to `place` alone."""
    key = Key(0, KeyType.EXTENT_ITEM, 4096)
    builder.put(builder.extent_root, builder.node(builder.extent_root, 1, [(key, place, generation)]))


def loop(builder: ImageBuilder) -> None:
    point_to(builder, builder.extent_root)


def long_loop(builder: ImageBuilder) -> None:
    key = Key(0, KeyType.EXTENT_ITEM, 4096)
    below = builder.next_place()
    builder.put(below, builder.node(below, 1, [(key, builder.extent_root, GENERATION)]))
    builder.put(builder.extent_root, builder.node(builder.extent_root, 2, [(key, below, GENERATION)]))


@pytest.mark.parametrize("method", METHODS, ids=["walk", "walk from 2", "seed", "5.10"])
@pytest.mark.parametrize("spoil", [loop, long_loop])
def test_a_loop_ends_in_one_line(
    tmp_path: Path, spoil: Callable[[ImageBuilder], None], method: Method
) -> None:
    builder = builder_of(F.RAID1, 2)
    spoil(builder)
    before = threading.active_count()
    with (
        FileSystem(builder.save(tmp_path)) as filesystem,
        pytest.raises(MetadataError, match=r"is of level \d in one place of the tree and of \d in another"),
    ):
        read(filesystem, method)
    assert threading.active_count() == before


def test_a_pointer_into_a_hole(tmp_path: Path) -> None:
    """A readahead drops what no chunk has (`reada_find_extent`); the walk cannot go on."""
    builder = builder_of(F.RAID1, 2)
    point_to(builder, 1 << 40)
    with FileSystem(builder.save(tmp_path)) as filesystem:
        assert [len(read(filesystem, method).reads) for method in (SEED, LINUX)] == [1, 1]
        with pytest.raises(MetadataError, match="block 1099511627776 is pointed to, but no chunk has it"):
            read(filesystem, Walk())


def test_below_a_stale_block_nothing_is_read(tmp_path: Path) -> None:
    builder = builder_of(F.RAID1, 2)
    old_root, new_root = builder.extent_root, builder.next_place()
    key = Key(0, KeyType.EXTENT_ITEM, 4096)
    builder.put(new_root, builder.node(new_root, 2, [(key, old_root, GENERATION + 1)]))
    builder.extent_root = new_root
    with FileSystem(builder.save(tmp_path)) as filesystem, DirectReadahead(filesystem) as readahead:
        tree = wanted(filesystem, TreeId.EXTENT)._replace(bytenr=new_root)
        readahead.add(tree)
        readahead.wait()
        assert [block.logical for block in readahead.reads] == [new_root, old_root]


def test_a_root_without_device_cannot_be_read_ahead(tmp_path: Path) -> None:
    """`btrfs_reada_add` fails in 5.10; the seed reads in vain."""
    builder = builder_of(SINGLE, 1)
    with FileSystem(builder.save(tmp_path)) as filesystem:
        root = wanted(filesystem, TreeId.EXTENT)
        filesystem.devices.images.clear()
        with pytest.raises(MetadataError, match=r"the root of tree 2 at \d+ cannot be read ahead"):
            LINUX.read(filesystem, [root])
        assert [block.err for block in SEED.read(filesystem, [root]).reads] == [-EIO]


def test_runs_are_kept_in_bundles(tmp_path: Path) -> None:
    with FileSystem(builder_of(F.RAID1, 2).save(tmp_path)) as filesystem:
        runs = [read(filesystem, method) for method in METHODS]
    writer = BundleWriter(tmp_path / "bundle")
    save_runs(writer, runs)
    assert load_runs(writer.finish({})) == runs


@pytest.mark.parametrize("text", ["{}", "[1]", "[]", '[{"method": "walk"}]'])
def test_a_damaged_record_is_refused_with_one_line(tmp_path: Path, text: str) -> None:
    with FileSystem(builder_of(F.RAID1, 2).save(tmp_path)) as filesystem:
        runs = [read(filesystem, LINUX)]
    writer = BundleWriter(tmp_path / "bundle")
    save_runs(writer, runs)
    (tmp_path / "bundle" / "readahead_runs.json").write_text(text)
    with pytest.raises(UserError, match=r"is no record of reads .*: record the case again"):
        load_runs(writer.finish({}))
