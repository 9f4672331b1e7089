# SPDX-License-Identifier: GPL-2.0-or-later
"""The checker survives whatever an image says. IODIFF_FUZZ=N tries N images of each kind, for long runs."""

from __future__ import annotations

import os
import random

import pytest

from harness.bcache.fuzz import Counted, fuzz, structures
from harness.bcache.testing import checked, fixture, small_image
from reference.bcache.geometry import PAGE_BYTES

TIMES = int(os.environ.get("IODIFF_FUZZ", "400"))
SEED = int(os.environ.get("IODIFF_FUZZ_SEED", "1"))


@pytest.mark.timeout(0 if TIMES > 400 else 300)
@pytest.mark.parametrize("nbuckets", [160, 3000])
def test_small_images(nbuckets: int) -> None:
    refused = fuzz(data := small_image(nbuckets).pack(), SEED, TIMES)
    assert 0 < refused < TIMES
    assert checked(data).findings == []


@pytest.mark.timeout(0 if TIMES > 400 else 300)
def test_an_image_of_a_kernel() -> None:
    times = max(TIMES // 20, 10)
    assert fuzz(bytearray(fixture("6.12-wb4k-running")), SEED, times) < times


def test_garbage_instead_of_a_bucket() -> None:
    rng = random.Random(SEED)
    sound = small_image().pack()
    for bucket in range(2, len(sound) // PAGE_BYTES):
        data = sound.copy()
        data[bucket * PAGE_BYTES : (bucket + 1) * PAGE_BYTES] = rng.randbytes(PAGE_BYTES)
        checked(data)


def test_truncated_anywhere() -> None:
    sound = small_image().pack()
    for size in range(8192, len(sound), 8192 + 512):
        assert [str(f.place) for f in checked(sound[:size]).findings] == ["superblock"]


def test_the_fuzzer_changes_what_is_checked() -> None:
    data = small_image().pack()
    places = structures(data)
    assert len(places) == 1 + 3 + 1 + 4
    # Without it the entry before is the newest.
    newest = places[3]
    for place in places:
        before = bytes(data)
        data[place.offset + 8] ^= 1
        assert checked(data).findings or place is newest
        place.reseal(data)
        assert data != before
        data[:] = before


def test_what_is_read_is_counted() -> None:
    device = Counted(bytes(100))
    device.read(10, 20)
    device.read(10, 20)
    assert device.read_bytes == 40
