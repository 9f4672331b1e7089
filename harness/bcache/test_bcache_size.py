# SPDX-License-Identifier: GPL-2.0-or-later
"""The checker on a large cache device: what it costs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.bcache.testing import END, ROOT, Image, NodeImage, small_image
from reference.bcache.bkey import Bkey

TREE = Path(__file__).parents[2]
GIB = 1 << 30
BUCKET_BYTES = 64 << 10
KEYS = 100_000
KEYS_OF_A_LEAF = 2000
"""48 of the 64 KiB of a node."""
FIRST_LEAF, FIRST_DATA = 100, 200
SECONDS, BYTES = 10, 500_000_000
CHECK = """
import atexit, re, resource, runpy, sys

def tell():
    used = resource.getrusage(resource.RUSAGE_SELF)
    status = open("/proc/self/status").read()
    print(used.ru_utime + used.ru_stime, re.search("VmHWM:(.*)kB", status)[1], file=sys.stderr)

atexit.register(tell)
runpy.run_module("harness", run_name="__main__")
"""
"""Runs iodiff and tells what it took, s and KiB."""


def large_image() -> Image:
    """Return a sound cache device of 1 GiB with `KEYS` extents of 8 sectors, every third one dirty."""
    image = small_image(GIB // BUCKET_BYTES)
    image.sb = replace(image.sb, raw_bucket_size=BUCKET_BYTES // 512)
    image.prio_buckets = image.prio_buckets[: image.geometry.prio_buckets]
    image.prio_seqs = image.prio_seqs[: image.geometry.prio_buckets]
    keys = [_extent(image, number) for number in range(KEYS)]
    leaves = [keys[n : n + KEYS_OF_A_LEAF] for n in range(0, KEYS, KEYS_OF_A_LEAF)]
    image.nodes = {}
    children = []
    for number, leaf in enumerate(leaves):
        position = END if leaf is leaves[-1] else leaf[-1].position
        child = image.node_key(position, FIRST_LEAF + number)
        children.append(child)
        half = len(leaf) // 2
        image.nodes[FIRST_LEAF + number] = NodeImage(child, [leaf[:half], leaf[half:]])
    image.nodes[ROOT] = NodeImage(image.node_key(END, ROOT), [children])
    image.jsets = [[image.jset(1, 1, [])]]
    return image


def _extent(image: Image, number: int) -> Bkey:
    bucket, sector = divmod(number * 8, image.geometry.bucket_size)
    return image.extent(number * 16 + 8, 8, FIRST_DATA + bucket, sector, dirty=number % 3 == 0)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a sparse file with the image."""
    buckets = np.frombuffer(large_image().pack(), "u1").reshape(-1, BUCKET_BYTES)
    file = tmp_path_factory.mktemp("large") / "cache"
    with file.open("wb") as opened:
        opened.truncate(GIB)
        for bucket in np.nonzero(buckets.any(1))[0].tolist():
            opened.seek(bucket * BUCKET_BYTES)
            opened.write(buckets[bucket].tobytes())
    yield file
    file.unlink()


def check(file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", CHECK, "bcache", "check", file],
        env={**os.environ, "PYTHONPATH": str(TREE), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_cost_of_a_large_device(file: Path) -> None:
    done = check(file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{KEYS} extents" in done.stdout
    # The process's own time, not that on the clock: others may be at work.
    seconds, kib = map(float, done.stderr.split())
    print(f"{seconds:.1f} s, {kib / 1000:.0f} MB")
    assert seconds < SECONDS
    assert kib * 1024 < BYTES


@pytest.mark.parametrize("bucket", [FIRST_LEAF, ROOT])
def test_damage_to_it_is_found(file: Path, bucket: int) -> None:
    place = bucket * BUCKET_BYTES + 50
    with file.open("r+b") as opened:
        opened.seek(place)
        data = opened.read(1)
        opened.seek(place)
        opened.write(bytes([data[0] ^ 1]))
        opened.flush()
        done = check(file)
        opened.seek(place)
        opened.write(data)
    assert done.returncode == 1
    assert f"damage 44 NODE_CSUM: node, bucket {bucket}, block 0, bset 0: bad checksum" in done.stdout
