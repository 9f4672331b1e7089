# SPDX-License-Identifier: GPL-2.0-or-later
"""The corrected model of 2010 does what the oracle says, and the oracle sees what is wrong as posted."""

from __future__ import annotations

import doctest
import importlib

import pytest

from reference.direct_io.case_data import as_data, of_data
from reference.direct_io.rfc_2010 import Behaviour
from reference.direct_io.run import judge
from reference.direct_io.shrink import kind_of, shrink
from reference.direct_io.testing import case_of

PIECE = 250


@pytest.mark.parametrize("piece", range(10))
def test_the_corrected_model_agrees_with_the_oracle(piece: int) -> None:
    numbers = range(10_000_000 + piece * PIECE, 10_000_000 + (piece + 1) * PIECE)
    wrong = {number: judge(case_of(number), Behaviour.corrected) for number in numbers}
    assert {number: complaint for number, complaint in wrong.items() if complaint} == {}


def test_the_posted_model_does_not() -> None:
    wrong = [bool(judge(case_of(number), Behaviour.as_posted)) for number in range(100)]
    assert 20 < sum(wrong) < 100


def test_each_kind_of_outcome_is_among_the_cases() -> None:
    from reference.direct_io.naive import expect
    from reference.direct_io.synthetic import build

    cases = [case_of(number) for number in range(400)]
    returns = [expect(case, build(case)).returns for case in cases]
    assert sum(max(each) > 0 for each in returns) > 200
    assert {-5, -14, -15, -22, 0} <= set().union(*returns)
    kinds = {extent.kind for case in cases for extent in case.extents}
    assert kinds == {"hole", "prealloc", "plain", "zlib", "inline", "inline-zlib", "missing", "unreadable"}


@pytest.mark.parametrize("module", ["mapping", "shrink", "rfc_2010.behaviour", "rfc_2010.defects"])
def test_the_examples_are_true(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"reference.direct_io.{module}"))
    assert result.attempted
    assert not result.failed


def test_a_case_can_be_written_down() -> None:
    for number in range(200):
        case = case_of(number)
        assert of_data(as_data(case)) == case


def test_shrinking_keeps_what_is_wrong() -> None:
    behaviour = Behaviour.corrected.having("skip_keeps_pages")
    number = next(n for n in range(1000) if judge(case_of(n), behaviour))
    shown = shrink(case_of(number), lambda case: judge(case, behaviour))
    assert kind_of(shown.complaint) == kind_of(judge(case_of(number), behaviour))
    assert judge(shown.case, behaviour) == shown.complaint
    assert len(shown.case.extents) <= 3
    assert not shown.case.faults
