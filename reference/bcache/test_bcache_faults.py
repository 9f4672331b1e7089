# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults seeded into the model are seen by its invariants, its own assertions, or the dict beside it."""

from __future__ import annotations

import pytest

from reference.bcache.faults import FAULTS
from reference.bcache.invariants import InvariantError
from reference.bcache.testing import DataLostError, Work

SEEDS = range(6)
SEEN_AS = (InvariantError, DataLostError, AssertionError, KeyError, StopIteration)
"""A node that is not there is a KeyError, a leaf that is not found a StopIteration."""


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    FAULTS[name](monkeypatch.setattr)
    with pytest.raises(SEEN_AS):
        _work()


def _work() -> None:
    for seed in SEEDS:
        Work(seed).run(500, 10)


def test_there_are_forty() -> None:
    assert len(FAULTS) >= 40
