# SPDX-License-Identifier: GPL-2.0-or-later
"""A case has rotational disks take no time, and their time again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any
from unittest.mock import Mock

import pytest

from harness.errors import InfrastructureError
from harness.record.experiment import LiveExperiment


def experiment(tell_disks: Callable[[bool], None] | None) -> LiveExperiment:
    any_: Any = Mock()
    return LiveExperiment(any_, any_, any_, any_, any_, 1, "test/any", 10.0, tell_disks)


def test_disks_take_their_time_again_whatever_happens() -> None:
    told: list[bool] = []
    with suppress(OSError), experiment(told.append).at_once():
        assert told == [False]
        raise OSError("full")
    assert told == [False, True]


def test_where_there_are_none_the_case_is_broken_off() -> None:
    with pytest.raises(InfrastructureError, match="--guest-devices rotational"), experiment(None).at_once():
        pytest.fail("nothing is done without them")
