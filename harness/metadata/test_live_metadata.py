# SPDX-License-Identifier: GPL-2.0-or-later
"""File systems that the kernel wrote, held against what btrfs-progs reads of them."""

from __future__ import annotations

import os
import random
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from harness.metadata import FileSystem, tree_blocks
from loopdevs import BtrfsLayout, Workspace
from reference.ondisk import Header, TreeId, check_block
from reference.readahead.source import Node

pytestmark = pytest.mark.live

MIB = 1 << 20
_BLOCK = re.compile(
    r"^(?:node|leaf) (\d+) (?:level (\d+) )?items (\d+) .*?generation (\d+) owner", re.MULTILINE
)
_POINTER = re.compile(r"^\tkey \(.*\) block (\d+) gen (\d+)", re.MULTILINE)

LAYOUTS = {
    "single": BtrfsLayout(1, 512 * MIB, mkfs_options=("-n", "4096")),
    "dup": BtrfsLayout(1, 512 * MIB, metadata="dup", mkfs_options=("-n", "16384", "--csum", "xxhash")),
    "mixed": BtrfsLayout(1, 512 * MIB, mkfs_options=("-M", "-n", "4096")),
    "raid0": BtrfsLayout(3, 512 * MIB, "raid0", "raid0", ("-n", "32768", "--csum", "sha256")),
    "raid1": BtrfsLayout(3, 512 * MIB, "raid1", "raid1", ("-n", "4096", "--csum", "blake2")),
    "raid1c3": BtrfsLayout(
        3,
        512 * MIB,
        "single",
        "raid1c3",
        (
            "-n",
            "8192",
        ),
    ),
    "raid1c4": BtrfsLayout(
        4,
        512 * MIB,
        "single",
        "raid1c4",
        (
            "-n",
            "16384",
        ),
    ),
    "raid10": BtrfsLayout(
        4,
        512 * MIB,
        "raid10",
        "raid10",
        (
            "-n",
            "65536",
        ),
    ),
    "raid5": BtrfsLayout(
        3,
        512 * MIB,
        "single",
        "raid5",
        (
            "-n",
            "4096",
        ),
    ),
    "raid6": BtrfsLayout(5, 512 * MIB, "single", "raid6", ("-n", "4096", "--csum", "xxhash")),
}


@pytest.fixture(params=LAYOUTS)
def devices(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, ...]]:
    """Return the devices of a file system with some thousand files, of several transactions, unmounted."""
    with (
        Workspace.create(tmp_path / "work") as workspace,
        workspace.btrfs(LAYOUTS[request.param]) as filesystem,
    ):
        filesystem.mount()
        fill(filesystem.mountpoint)
        filesystem.umount()
        yield filesystem.devices


def fill(folder: Path) -> None:
    """Write small files and rewrite some, so that trees have several levels and blocks several ages."""
    rng = random.Random(1)
    for transaction in range(3):
        for number in range(0, 1500, transaction + 1):
            (folder / f"file-{number}").write_bytes(rng.randbytes(rng.choice((100, 5000))))
        os.sync()


def test_trees_are_those_that_btrfs_progs_dumps(devices: tuple[Path, ...]) -> None:
    with FileSystem(devices) as filesystem:
        for tree in (TreeId.ROOT, TreeId.CHUNK, *filesystem.roots()):
            nodes = list(tree_blocks(filesystem, filesystem.root(tree)))
            found = [described(filesystem, node) for node in nodes]
            pointers = [
                pointer
                for node in nodes
                for pointer in zip(node.blockptrs, node.ptr_generations, strict=True)
            ]
            assert (sorted(found), sorted(pointers)) == dumped(tree, devices), f"tree {tree}"
        levels = filesystem.node(filesystem.root(TreeId.FS).bytenr).level
    assert levels >= 1, "the tree of files is a mere leaf, which shows little"


def described(filesystem: FileSystem, node: Node) -> tuple[int, int, int, int]:
    header = Header.from_bytes(filesystem.block(node.bytenr))
    return node.bytenr, node.level, header.nritems, node.generation


def dumped(tree: int, devices: Sequence[Path]) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Return the blocks of a tree and its pointers as `btrfs inspect-internal dump-tree` shows them."""
    text = tool("btrfs", "inspect-internal", "dump-tree", "--noscan", "-t", str(tree), *map(str, devices))
    blocks = [(int(b), int(level or 0), int(items), int(g)) for b, level, items, g in _BLOCK.findall(text)]
    pointers = [(int(block), int(generation)) for block, generation in _POINTER.findall(text)]
    return sorted(blocks), sorted(pointers)


def test_superblocks_are_those_that_btrfs_progs_dumps(devices: tuple[Path, ...]) -> None:
    with FileSystem(devices) as filesystem:
        for devid, image in filesystem.devices.images.items():
            text = tool("btrfs", "inspect-internal", "dump-super", str(image.path))
            told = dict(line.split(None, 1) for line in text.splitlines() if len(line.split(None, 1)) == 2)
            superblock = image.superblock
            assert told["csum_type"].split()[0] == str(superblock.csum_type.value)
            assert told["fsid"].strip() == superblock.fsid_text
            assert told["dev_item.devid"].split()[0] == str(devid)
            for name in ("generation", "root", "chunk_root", "num_devices", "nodesize", "sectorsize"):
                assert told[name].split()[0] == str(getattr(superblock, name)), name


def test_each_copy_is_where_the_chunk_map_says(devices: tuple[Path, ...]) -> None:
    """A block bears its own address and a checksum, so what is found at another place would not pass."""
    with FileSystem(devices) as filesystem:
        for node in tree_blocks(filesystem, filesystem.root(TreeId.FS)):
            mirrors = filesystem.copies.mirrors(node.bytenr)
            copies = [filesystem.copies.read(node.bytenr, mirror_num) for mirror_num in mirrors]
            assert check_block(copies[0], node.bytenr, filesystem.rules) == node
            assert set(copies) == {copies[0]}


@pytest.mark.parametrize(
    ("name", "spare"), [("raid1", 1), ("raid1c3", 2), ("raid10", 1), ("raid5", 1), ("raid6", 1), ("raid6", 2)]
)
def test_the_same_is_read_with_devices_missing(tmp_path: Path, name: str, spare: int) -> None:
    layout = LAYOUTS[name]
    with Workspace.create(tmp_path / "work") as workspace, workspace.btrfs(layout) as made:
        made.mount()
        fill(made.mountpoint)
        made.umount()
        with FileSystem(made.devices) as filesystem:
            whole = contents(filesystem)
        for first in range(layout.devices):
            left_out = {(first + n) % layout.devices for n in range(spare)}
            there = [path for n, path in enumerate(made.devices) if n not in left_out]
            with FileSystem(there, degraded=True) as filesystem:
                assert contents(filesystem) == whole


def contents(filesystem: FileSystem) -> dict[int, bytes]:
    blocks = tree_blocks(filesystem, filesystem.root(TreeId.FS))
    return {node.bytenr: filesystem.block(node.bytenr) for node in blocks}


def tool(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{command}: {done.stderr}{done.stdout}"
    return done.stdout
