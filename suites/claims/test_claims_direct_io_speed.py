# SPDX-License-Identifier: GPL-2.0-or-later
"""Speeds and costs are those of the measurements, and ratios are taken within a round."""

from __future__ import annotations

import pytest

from harness.measured import Measurement
from suites.claims.direct_io_speed import all_cpu, by_rounds, kernel_cpu, ratio, speed, task_cpu

GIB = 1 << 30


def one(way: str, number: int, seconds: float, task: float | None = 1.0, what: str = "x") -> Measurement:
    return Measurement(what, way, number, GIB // 2, seconds, task, 0.5, 3.0)


def test_values_are_for_a_gib() -> None:
    assert speed(one("direct", 1, 2.0)) == 256.0
    assert (task_cpu(one("direct", 1, 2.0)), kernel_cpu(one("direct", 1, 2.0))) == (2.0, 1.0)
    assert all_cpu(one("direct", 1, 2.0)) == 3.0


def test_ratios_are_within_a_round() -> None:
    found = [
        *(one("direct", 1, 1.0), one("buffered", 1, 2.0)),
        *(one("buffered", 2, 30.0), one("direct", 2, 10.0)),
        *(one("direct", 3, 4.0), one("buffered", 3, 4.0)),
        *(one("direct", 4, 4.0), one("buffered", 3, 1.0, what="another")),
    ]
    rounds = by_rounds(found, "x")
    assert [[m.round for m in rounds[way]] for way in ("direct", "buffered")] == [[1, 2, 3], [1, 2, 3]]
    interval = ratio(rounds, speed)
    assert interval
    assert (interval.median, interval.low, interval.high) == pytest.approx((2.0, 1.0, 3.0))


def test_what_is_not_known_gives_no_ratio() -> None:
    rounds = by_rounds([one("direct", 1, 1.0, None), one("buffered", 1, 1.0)], "x")
    assert ratio(rounds, all_cpu) is None
    assert ratio(rounds, speed) is not None
    assert ratio(by_rounds([], "x"), speed) is None
