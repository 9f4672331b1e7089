# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices that cannot be read in part, and superblocks of all versions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.bcache.check import check_cache
from harness.bcache.device import Bytes, File, UnreadableError, cache_superblock
from harness.bcache.findings import Invariant
from harness.bcache.testing import LEFT, PRIOS, UUIDS, Image, checked, small_image
from harness.errors import UserError
from reference.bcache.superblock import CacheSb, FeatureIncompat, SbVersion, complaint_about

BUCKET = 4096


class Failing(Bytes):
    """A device with a bucket that cannot be read."""

    def __init__(self, data: bytearray, bucket: int) -> None:
        super().__init__(data)
        self.bucket = bucket

    def read(self, offset: int, length: int) -> bytes:
        if offset <= self.bucket * BUCKET < offset + length:
            raise UnreadableError(f"byte {offset} cannot be read: Input/output error")
        return super().read(offset, length)


@pytest.mark.parametrize(
    ("bucket", "place"),
    [
        (3, "journal, bucket 3"),
        (PRIOS, "prios, bucket 30"),
        (UUIDS, "uuids, bucket 50"),
        (LEFT, "node, bucket 21"),
    ],
)
def test_what_cannot_be_read_is_a_finding(bucket: int, place: str) -> None:
    device = Failing(small_image().pack(), bucket)
    found = check_cache(device, *cache_superblock(device, "image")).findings
    assert [str(f.place) for f in found if f.invariant is Invariant.READABLE] == [place]


def test_a_superblock_that_cannot_be_read_is_said() -> None:
    device = Failing(small_image().pack(), 1)
    with pytest.raises(UserError, match="superblock of image cannot be read: byte 4096"):
        cache_superblock(device, "image")


def test_reading_past_the_end(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(bytes(100))
    with File(path) as device, pytest.raises(UnreadableError, match="byte 100 is after the end"):
        device.read(50, 51)
    with pytest.raises(UnreadableError, match="after the end"):
        Bytes(bytes(100)).read(50, 51)


def with_features(image: Image, **changes: object) -> Image:
    image.sb = replace(image.sb, version=SbVersion.CDEV_WITH_FEATURES, **changes)  # type: ignore[arg-type]
    return image


@pytest.mark.parametrize(
    "image",
    [
        small_image(),
        with_features(small_image()),
        with_features(
            small_image(), feature_incompat=FeatureIncompat.LOG_LARGE_BUCKET_SIZE, raw_bucket_size=3
        ),
        with_features(small_image(), feature_incompat=FeatureIncompat.OBSO_LARGE_BUCKET),
    ],
    ids=["3", "5", "5, large", "5, obsolete"],
)
def test_cache_devices_of_all_versions(image: Image) -> None:
    found = checked(image.pack())
    assert found.findings == []
    assert len(found.live) == 18


def test_version_0_has_the_same_layout() -> None:
    image = small_image()
    image.sb = replace(image.sb, version=SbVersion.CDEV)
    assert checked(image.pack()).findings == []


def test_bucket_sizes() -> None:
    sb = small_image().sb
    assert sb.bucket_size == 8
    obsolete = replace(sb, version=5, feature_incompat=1, raw_bucket_size=0, obso_bucket_size_hi=2)
    assert obsolete.read_back().bucket_size == 2 << 16
    # Without the version that has them, features mean nothing.
    assert replace(obsolete, version=3, raw_bucket_size=8).bucket_size == 8
    assert replace(sb, version=5, feature_incompat=2, raw_bucket_size=20).bucket_size == 1 << 20


@pytest.mark.parametrize(
    "version", [SbVersion.BDEV, SbVersion.BDEV_WITH_OFFSET, SbVersion.BDEV_WITH_FEATURES]
)
def test_backing_devices(version: SbVersion) -> None:
    sb = CacheSb(version=version, uuid=bytes([1] * 16), set_uuid=bytes([2] * 16), flags=0, nbuckets=24)
    read = sb.read_back()
    assert read.is_bdev
    assert read.data_offset == (16 if version is SbVersion.BDEV else 24)
    assert complaint_about(read, 1000) is None
    short = replace(sb, nbuckets=8).read_back()
    assert complaint_about(short, 1000) == (None if version is SbVersion.BDEV else "Bad data offset")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"uuid": bytes(16)}, "Bad UUID"),
        ({"block_size": 0}, "Superblock block size smaller than device block size"),
        ({"keys": 257}, "Too many journal buckets"),
        ({"nbuckets": 1 << 63}, "Too many buckets"),
        ({"nbuckets": 127}, "Not enough buckets"),
        ({"block_size": 16}, "Bad block size (larger than page size)"),
        ({"raw_bucket_size": 24}, "Bad bucket size (not power of 2)"),
        ({"raw_bucket_size": 4}, "Bad bucket size (smaller than page size)"),
        ({"nbuckets": 161}, "Invalid superblock: device too small"),
        ({"set_uuid": bytes(16)}, "Bad UUID"),
        ({"nr_in_set": 9}, "Bad cache device number in set"),
        ({"keys": 160, "d": tuple(range(2, 162))}, "Too many journal buckets"),
        (
            {"first_bucket": 1, "keys": 0, "d": ()},
            "Invalid superblock: first bucket comes before end of super",
        ),
    ],
)
def test_the_kernels_complaints(changes: dict[str, object], complaint: str) -> None:
    sb = replace(small_image().sb, **changes).read_back()  # type: ignore[arg-type]
    assert complaint_about(sb, 160 * 8) == complaint
