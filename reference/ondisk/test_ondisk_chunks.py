# SPDX-License-Identifier: GPL-2.0-or-later
"""Where addresses are on devices, against counting stripe by stripe; what is no chunk; rebuilding rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference.ondisk import (
    BlockGroupFlag,
    Chunk,
    ChunkMap,
    ChunkStripe,
    CsumType,
    FormatError,
    failed_stripes,
    rebuild,
    sys_chunk_array,
)
from reference.ondisk.raid56 import parity
from reference.readahead.source import Stripe

F = BlockGroupFlag
SINGLE = BlockGroupFlag(0)
LEN = 64 << 10
START = 5 << 30


def chunk(profile: BlockGroupFlag, stripes: int, rows: int = 6) -> Chunk:
    """Return a chunk in which stripe n begins at n GiB of device n + 1."""
    raid10 = profile == F.RAID10
    places = tuple(ChunkStripe(n + 1, n << 30) for n in range(stripes))
    made = Chunk(START, LEN, F.METADATA | profile, places, 2 if raid10 else 1)
    width = {F.RAID0: stripes, F.RAID10: stripes // 2}.get(profile, 1)
    return replace(made, length=rows * LEN * (made.data_stripes if made.parities else width))


def counted(it: Chunk) -> Iterator[list[tuple[int, int]]]:
    """Yield for each 64 KiB of the chunk where its copies are: stripe and row."""
    total = len(it.stripes)
    for row in range(1000):
        match it.profile:
            case F.RAID0:
                yield from ([(column, row)] for column in range(total))
            case F.RAID10:
                yield from ([(column, row), (column + 1, row)] for column in range(0, total, 2))
            case F.RAID5 | F.RAID6:
                # Each row begins one stripe further to the right than the one before it; parities are last.
                turned = [*range(row % total, total), *range(row % total)]
                yield from ([(column, row)] for column in turned[: it.data_stripes])
            case _:
                yield [(column, row) for column in range(total)]


PROFILES = [
    *((profile, 1) for profile in (SINGLE, F.RAID0)),
    *((profile, 2) for profile in (F.DUP, F.RAID1, F.RAID0, F.RAID10, F.RAID5)),
    *((profile, 3) for profile in (F.RAID1C3, F.RAID0, F.RAID5, F.RAID6)),
    *((profile, 4) for profile in (F.RAID1C4, F.RAID10, F.RAID6)),
    (F.RAID5, 7),
    (F.RAID6, 7),
]


@pytest.mark.parametrize(("profile", "stripes"), PROFILES)
def test_each_profile_counted_stripe_by_stripe(profile: BlockGroupFlag, stripes: int) -> None:
    it = chunk(profile, stripes)
    chunks = ChunkMap([it])
    it.check(4096)
    for number, places in zip(range(it.length // LEN), counted(it), strict=False):
        mapping = chunks.map_block(START + number * LEN + 4096)
        assert mapping is not None
        wanted = [Stripe(column + 1, (column << 30) + row * LEN + 4096) for column, row in places]
        assert list(mapping.stripes) == wanted
        assert mapping.length == (LEN - 4096 if profile else it.length - number * LEN - 4096)
    assert chunks.map_block(it.end) is None
    assert chunks.map_block(START - 1) is None


@pytest.mark.parametrize(("profile", "stripes"), [(F.RAID5, 2), (F.RAID5, 4), (F.RAID6, 3), (F.RAID6, 6)])
def test_a_row_has_each_device_once(profile: BlockGroupFlag, stripes: int) -> None:
    it = chunk(profile, stripes)
    chunks = ChunkMap([it])
    for logical in range(START, it.end, LEN):
        row = chunks.row(logical + 512)
        mapping = chunks.map_block(logical + 512)
        assert mapping is not None
        assert row.stripes[row.wanted] == mapping.stripes[0]
        assert {stripe.devid for stripe in row.stripes} == set(range(1, stripes + 1))
        assert len({stripe.physical % (1 << 30) for stripe in row.stripes}) == 1


def test_where_parity_is() -> None:
    """RAID5 of three: row 0 has its parity on the last device, row 1 on the first, and so on."""
    chunks = ChunkMap([chunk(F.RAID5, 3)])
    assert [chunks.row(START + row * 2 * LEN).stripes[2].devid for row in range(4)] == [3, 1, 2, 3]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"start": START + 1}, "its start is not on a sector"),
        ({"length": 0}, "its length, 0, is not of whole sectors"),
        ({"length": 1000}, "its length, 1000, is not of whole sectors"),
        ({"start": (1 << 64) - 4096}, "it ends behind the last address"),
        ({"stripe_len": 4096}, "its stripes are of 4096 bytes"),
        ({"type": F.METADATA | (1 << 20)}, "bits that are not known, 0x100000"),
        ({"type": F.METADATA | F.RAID1 | F.RAID0}, "several profiles, 0x18"),
        ({"type": F.RAID1}, "neither data nor metadata"),
        ({"type": F.METADATA | F.RAID1C3}, "not for 2 stripes"),
        ({"type": F.METADATA}, "not for 2 stripes"),
        ({"type": F.METADATA | F.RAID6}, "not for 2 stripes"),
        ({"type": F.METADATA | F.RAID10}, "1 copies are not RAID10"),
        ({"stripes": ()}, "not for 0 stripes"),
    ],
)
def test_what_is_no_chunk(changes: dict[str, object], text: str) -> None:
    good = chunk(F.RAID1, 2)
    good.check(4096)
    with pytest.raises(FormatError, match=text):
        replace(good, **changes).check(4096)  # type: ignore[arg-type]


def test_overlapping_chunks() -> None:
    chunks = ChunkMap([chunk(SINGLE, 1)])
    chunks.add(replace(chunk(SINGLE, 1), start=START + LEN))
    assert len(chunks.chunks) == 1, "one that begins in another is passed over, as the kernel does"
    with pytest.raises(FormatError, match="overlap"):
        chunks.add(replace(chunk(SINGLE, 1), start=START - LEN))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"x" * 5, "end inside a key"),
        (b"\0" * 17, "key of type 0"),
        (b"\0" * 8 + b"\xe4" + b"\0" * 20, "too few"),
    ],
)
def test_a_broken_array_of_chunks(data: bytes, text: str) -> None:
    with pytest.raises(FormatError, match=text):
        list(sys_chunk_array(data))


@given(st.data(), st.integers(1, 6), st.integers(1, 2))
def test_any_stripe_is_rebuilt_from_enough_others(data: st.DataObject, count: int, parities: int) -> None:
    stripes = [data.draw(st.binary(min_size=8, max_size=8)) for _ in range(count)]
    row: list[bytes | None] = [*stripes, *parity(stripes, parities)]
    lost = data.draw(st.sets(st.integers(0, count + parities - 1), max_size=count + parities))
    for number in lost:
        row[number] = None
    wanted = data.draw(st.integers(0, count - 1))
    found = rebuild(row, wanted, parities)
    if len(lost) <= parities or wanted not in lost:
        assert found == stripes[wanted]
    else:
        assert found is None or found == stripes[wanted]


def test_mirrors_of_raid6_give_up_each_other_stripe_once() -> None:
    """Of 5 stripes, D0 D1 D2 P Q: mirror 2 trusts P, 3 gives P up, 4 and 5 the other data stripes."""
    assert [failed_stripes(m, wanted=1, total=5) for m in range(2, 6)] == [{1}, {1, 3}, {1, 2}, {0, 1}]
    assert [failed_stripes(m, wanted=0, total=5) for m in range(2, 6)] == [{0}, {0, 3}, {0, 2}, {0, 1}]
    assert [failed_stripes(m, wanted=2, total=5) for m in range(2, 6)] == [{2}, {2, 3}, {1, 2}, {0, 2}]


@pytest.mark.parametrize(
    ("csum", "of_nothing", "of_digits"),
    [
        (CsumType.CRC32, "00000000", "839206e3"),
        (CsumType.XXHASH, "99e9d85137db46ef", None),
        (CsumType.SHA256, "e3b0c44298fc1c149afbf4c8996fb924", "15e2b0d3c33891ebb0f1ef609ec41942"),
        (CsumType.BLAKE2, "0e5751c026e543b2e8ab2eb06099daa1", None),
    ],
)
def test_published_checksums(csum: CsumType, of_nothing: str, of_digits: str | None) -> None:
    assert csum.digest(b"").hex()[: len(of_nothing)] == of_nothing
    assert of_digits is None or csum.digest(b"123456789").hex()[: len(of_digits)] == of_digits
