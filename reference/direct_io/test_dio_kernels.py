# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels are told by what they have; one that fits no history is not guessed at."""

from __future__ import annotations

import pytest

from reference.direct_io.mainline import FEATURES, Behaviour, behaviour_of
from reference.extent_state import UnknownBehaviourError

FOUND = {
    "linux_5_10": {"iomap_dio_rw"},
    "linux_6_1": {"iomap_dio_rw", "iov_iter_get_pages2"},
    "linux_6_12": {"iomap_dio_rw", "iov_iter_get_pages2", "iov_iter_extract_pages"},
    "linux_6_18": {
        *("iomap_dio_rw", "iov_iter_get_pages2", "iov_iter_extract_pages"),
        "btrfs_check_block_csum",
    },
    "linux_7_2": {
        *("iomap_dio_rw", "iov_iter_get_pages2", "iov_iter_extract_pages"),
        *("btrfs_check_block_csum", "iov_iter_extract_bvecs"),
    },
}
"""What was found among the symbols of Debian's 5.10.262, 6.1.192, 6.12.117 and 7.2.13, and of 6.18.44."""


@pytest.mark.parametrize("name", FOUND)
def test_kernels_that_were_looked_at(name: str) -> None:
    features = {f"symbol:{symbol}" for symbol in FOUND[name]}
    assert features <= set(FEATURES)
    assert behaviour_of(features) is getattr(Behaviour, name)


@pytest.mark.parametrize(
    "features", [set(), {"symbol:btrfs_check_block_csum"}, set(FEATURES) - {FEATURES[3]}]
)
def test_no_kernel_is_guessed_at(features: set[str]) -> None:
    with pytest.raises(UnknownBehaviourError, match="cannot be told"):
        behaviour_of(features)
