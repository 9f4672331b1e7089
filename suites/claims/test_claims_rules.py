# SPDX-License-Identifier: GPL-2.0-or-later
"""Conclusions follow from figures, in every direction."""

from __future__ import annotations

import random

import pytest

from harness.claims import Conclusion, Fact
from suites.claims.rules import MUCH, all_of, by_interval, by_ratios, happens, holds, overall, within
from suites.claims.stats import Interval, bootstrap, in_turns

REPRODUCED, PARTLY, NOT, UNTESTABLE = Conclusion


@pytest.mark.parametrize(
    ("ratios", "conclusion"),
    [
        ([2.0, 2.5, 1.1], REPRODUCED),
        ([2.0, 2.5, 1.0], PARTLY),
        ([1.9, 1.99, 5.0], PARTLY),
        ([1.0, 1.0, 1.0], NOT),
        ([0.4, 0.5, 3.0], NOT),
        ([], UNTESTABLE),
    ],
)
def test_ratios_of_workloads(ratios: list[float], conclusion: Conclusion) -> None:
    assert by_ratios("x", ratios).conclusion is conclusion


def test_the_factor_decides() -> None:
    assert by_ratios("x", [1.5], 1.5).conclusion is REPRODUCED
    assert by_ratios("x", [1.5], MUCH).conclusion is PARTLY


@pytest.mark.parametrize(
    ("interval", "conclusion"),
    [
        (Interval(2.4, 2.0, 2.8), REPRODUCED),
        (Interval(2.4, 1.9, 2.8), PARTLY),
        (Interval(1.2, 1.01, 1.4), PARTLY),
        (Interval(0.9, 0.8, 1.0), NOT),
        (Interval(1.1, 0.9, 1.4), UNTESTABLE),
    ],
)
def test_measured_ratios(interval: Interval, conclusion: Conclusion) -> None:
    assert by_interval("x", interval).conclusion is conclusion


@pytest.mark.parametrize(
    ("interval", "conclusion"),
    [
        (Interval(3.0, 2.0, 5.0), REPRODUCED),
        (Interval(3.0, 1.5, 5.0), PARTLY),
        (Interval(5.5, 4.9, 6.0), PARTLY),
        (Interval(1.0, 0.5, 1.9), NOT),
        (Interval(9.0, 8.0, 9.9), NOT),
        (None, UNTESTABLE),
    ],
)
def test_a_figure_within_limits(interval: Interval | None, conclusion: Conclusion) -> None:
    fact = within("x", interval, 2, 5, "no such kernel")
    assert fact.conclusion is conclusion
    assert (fact.value == "no such kernel") is (interval is None)


@pytest.mark.parametrize(
    ("count", "wrong", "conclusion"), [(9, 0, REPRODUCED), (9, 1, NOT), (0, 0, UNTESTABLE)]
)
def test_what_is_to_hold_each_time(count: int, wrong: int, conclusion: Conclusion) -> None:
    assert holds("x", count, wrong).conclusion is conclusion


@pytest.mark.parametrize(
    ("count", "often", "conclusion"), [(9, 1, REPRODUCED), (9, 0, NOT), (0, 0, UNTESTABLE)]
)
def test_what_is_said_to_happen(count: int, often: int, conclusion: Conclusion) -> None:
    assert happens("x", count, often).conclusion is conclusion


@pytest.mark.parametrize(
    ("each", "conclusion"), [([True], REPRODUCED), ([True, False], PARTLY), ([False], NOT), ([], UNTESTABLE)]
)
def test_comparisons_together(each: list[bool], conclusion: Conclusion) -> None:
    assert all_of("x", "", each).conclusion is conclusion


@pytest.mark.parametrize(
    ("facts", "conclusion"),
    [
        ([REPRODUCED, REPRODUCED], REPRODUCED),
        ([NOT], NOT),
        ([UNTESTABLE], UNTESTABLE),
        ([REPRODUCED, NOT], PARTLY),
        ([REPRODUCED, UNTESTABLE], PARTLY),
        ([], UNTESTABLE),
    ],
)
def test_facts_together(facts: list[Conclusion], conclusion: Conclusion) -> None:
    assert overall([Fact("x", "", each) for each in facts]) is conclusion


def test_an_interval_holds_the_median_and_narrows_with_more_values() -> None:
    rng = random.Random(1)
    few, many = ([rng.gauss(2, 0.3) for _ in range(count)] for count in (7, 200))
    wide, narrow = bootstrap(few), bootstrap(many)
    assert wide.low <= wide.median <= wide.high
    assert narrow.high - narrow.low < (wide.high - wide.low) / 2
    assert narrow.low < 2 < narrow.high
    assert bootstrap(few) == wide


def test_ways_are_measured_in_turns_after_one_that_does_not_count() -> None:
    order: list[str] = []

    def way(name: str) -> float:
        order.append(name)
        return float(len(order))

    found = in_turns({"a": lambda: way("a"), "b": lambda: way("b")}, 2)
    assert order == ["a", "b", "a", "b", "b", "a"]
    assert found == {"a": [3.0, 6.0], "b": [4.0, 5.0]}
