# SPDX-License-Identifier: GPL-2.0-or-later
"""`iodiff bcache` from outside: what it says, to whom, and with which exit code."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.bcache.testing import checked, fixture, small_image
from reference.bcache.bkey import key
from reference.bcache.superblock import SbVersion
from suites.meta.commands import iodiff


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    path = tmp_path / "cache.img"
    path.write_bytes(small_image().pack())
    return path


def write(tmp_path: Path, **changes: object) -> Path:
    """Return an image with another superblock."""
    image = small_image()
    image.sb = replace(image.sb, **changes)  # type: ignore[arg-type]
    path = tmp_path / "other.img"
    path.write_bytes(image.pack())
    return path


def test_a_sound_device(sound: Path) -> None:
    done = iodiff("bcache", "check", str(sound))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:] == [
        "journal: entries 5 to 7, 2 keys to be replayed",
        "btree: 3 nodes (1 of level 1, 2 of level 0), 21 keys",
        "buckets: 4 journal, 1 prios, 1 uuids, 3 btree node, 18 data, 133 with nothing",
        "data: 18 extents, 66 KiB cached, 20 KiB of them dirty",
        "no damage",
    ]


def test_damage_is_an_exit_code_and_a_place(sound: Path) -> None:
    data = bytearray(sound.read_bytes())
    data[21 * 4096 + 40] ^= 1
    sound.write_bytes(data)
    done = iodiff("bcache", "check", str(sound))
    assert done.returncode == 1
    assert "damage 44 NODE_CSUM: node, bucket 21, block 0, bset 0: bad checksum" in done.stdout
    assert done.stdout.splitlines()[-1] == "damaged: 1 findings"
    scripted = json.loads(iodiff("bcache", "check", "--json", str(sound)).stdout)
    assert scripted["changed"] is False
    assert [(f["invariant"], f["place"]) for f in scripted["findings"]] == [
        (44, {"what": "node", "bucket": 21, "block": 0, "bset": 0})
    ]


def test_many_findings_of_a_kind_are_counted(tmp_path: Path) -> None:
    image = small_image()
    image.nodes[21].bsets[0] = [key(0, 5 + n, 8, [image.ptr(60)]) for n in range(0, 128, 8)]
    for k in image.nodes[21].bsets[0]:
        k.ptr[0] += 1 << 40
    path = tmp_path / "cache.img"
    path.write_bytes(image.pack())
    short = iodiff("bcache", "check", str(path)).stdout
    assert "and 6 more of 53 EXTENT (--all shows them)" in short
    assert iodiff("bcache", "check", "--all", str(path)).stdout.count(" 53 EXTENT") == 16


def test_dump_has_everything(tmp_path: Path) -> None:
    path = tmp_path / "cache.img"
    path.write_bytes(fixture("6.12-wb4k-running"))
    done = iodiff("bcache", "dump", str(path))
    assert done.returncode == 0
    dump = json.loads(done.stdout)
    found = checked(fixture("6.12-wb4k-running"))
    assert found.tree
    assert len(dump["nodes"]) == len(found.tree.nodes)
    keys = sum(len(bset["keys"]) for node in dump["nodes"] for bset in node["bsets"])
    assert keys == found.tree.keys
    assert len(dump["extents"]) == len(found.live) == 1594
    assert len(dump["gens"]) == dump["superblock"]["nbuckets"] == 4096


def test_map_is_a_picture(sound: Path) -> None:
    done = iodiff("bcache", "map", "--rows", "1", str(sound))
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == (
        "device 0: 18 extents, 66 KiB cached, 20 KiB dirty, up to sector 2032; 32 sectors each:"
    )
    # Its last extents, from 1992 to 2032, fill three quarters of one cell and half of the other.
    drawn = "..--..d..-..d..-..-..-..d..--..d..............d...............=-"
    assert done.stdout.splitlines()[1] == f"  {drawn}"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": SbVersion.BDEV_WITH_OFFSET, "nbuckets": 16}, "is a backing device"),
        ({"version": 7}, "Unsupported superblock version (version 7"),
        (
            {"version": SbVersion.CDEV_WITH_FEATURES, "feature_incompat": 4},
            "Unsupported incompatible feature found (version 5, features 0x0 0x0 0x4)",
        ),
        ({"magic": bytes(16)}, "is no bcache device: it has no bcache superblock at byte 4096"),
    ],
)
def test_what_is_no_cache_device_is_said_in_a_line(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    image = small_image()
    data = image.pack()
    data[4096:8192] = replace(image.sb, **changes).pack()  # type: ignore[arg-type]
    path = tmp_path / "other.img"
    path.write_bytes(data)
    done = iodiff("bcache", "check", str(path))
    assert done.returncode == 3
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_picture_as_a_page(sound: Path, tmp_path: Path) -> None:
    page = tmp_path / "map.html"
    done = iodiff("bcache", "map", "--html", str(page), str(sound))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"picture: {page}"
    # A square for each sector.
    found = checked(sound.read_bytes())
    assert page.read_text().count('<rect class="dirty"') == sum(k.size for k in found.live if k.dirty)
    assert "66 KiB cached, 20 KiB of that dirty; a square stands for 512 B" in page.read_text()


def test_a_page_that_cannot_be_written(sound: Path, tmp_path: Path) -> None:
    done = iodiff("bcache", "map", "--html", str(tmp_path / "no" / "map.html"), str(sound))
    assert done.returncode == 3
    assert "map.html cannot be written: No such file or directory" in done.stderr


@pytest.mark.parametrize("command", ["check", "dump", "map"])
def test_no_device_at_all(tmp_path: Path, command: str) -> None:
    (tmp_path / "short").write_bytes(bytes(1000))
    for path, said in (
        (tmp_path / "absent", "cannot be read: No such file or directory"),
        (tmp_path, "is neither a block device nor a file"),
        (tmp_path / "short", "is no bcache device: it has only 1000 bytes"),
    ):
        done = iodiff("bcache", command, str(path))
        assert done.returncode == 3
        assert said in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_cache_that_was_never_used(tmp_path: Path) -> None:
    done = iodiff("bcache", "check", str(write(tmp_path, flags=0)))
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "formatted, and never used"


def test_nothing_is_written(sound: Path) -> None:
    sound.chmod(0o444)
    before = sound.read_bytes(), sound.stat().st_mtime_ns
    for command in ("check", "dump", "map"):
        assert iodiff("bcache", command, str(sound)).returncode == 0
    assert (sound.read_bytes(), sound.stat().st_mtime_ns) == before
