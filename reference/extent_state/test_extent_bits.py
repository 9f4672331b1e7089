# SPDX-License-Identifier: GPL-2.0-or-later
"""The layout of bits, read from a kernel's names."""

from __future__ import annotations

import pytest

from reference.extent_state.bits import LINUX_6_18, BitLayout, MissingBitError

OLD = {
    "EXTENT_DIRTY": 1,
    "EXTENT_LOCKED": 4,
    "EXTENT_DELALLOC": 32,
    "EXTENT_BOUNDARY": 128,
    "EXTENT_CLEAR_META_RESV": 512,
    "EXTENT_NORESERVE": 2048,
    "EXTENT_CLEAR_DATA_RESV": 8192,
    "EXTENT_CLEAR_ALL_BITS": 32768,
}


def test_layout_of_6_18() -> None:
    assert LINUX_6_18.lock_bits == 2 | 4
    assert LINUX_6_18.boundary == 128
    assert LINUX_6_18.ctlbits == 512 | 8192 | 1 << 16 | 1 << 17
    assert (LINUX_6_18.delalloc, LINUX_6_18.noreserve) == (32, 2048)
    assert LINUX_6_18.clear_all_bits == 1 << 17


def test_bits_that_older_kernels_lack() -> None:
    layout = BitLayout.from_names(OLD)
    assert layout.lock_bits == 4
    assert layout.ctlbits == 512 | 8192 | 32768


def test_names_without_prefix_and_masks() -> None:
    names = {name.removeprefix("EXTENT_"): value for name, value in OLD.items()}
    assert BitLayout.from_names(names | {"EXTENT_CTLBITS": 0x8A00}) == BitLayout.from_names(OLD)


@pytest.mark.parametrize("name", sorted(OLD.keys() - {"EXTENT_DIRTY"}))
def test_missing_bit_is_named(name: str) -> None:
    with pytest.raises(MissingBitError, match=f"lack {name}: cannot") as caught:
        BitLayout.from_names({other: value for other, value in OLD.items() if other != name})
    assert not str(caught.value).startswith("'")


def test_describe() -> None:
    assert LINUX_6_18.describe(1 << 17 | 2) == "LOCKED|CLEAR_ALL_BITS"
    assert LINUX_6_18.describe(1 << 20 | 2) == "LOCKED|0x100000"
    assert BitLayout.from_names(OLD | {"CHUNK_ALLOCATED": 1}).describe(1) == "DIRTY"
