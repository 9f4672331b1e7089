# SPDX-License-Identifier: GPL-2.0-or-later
"""The search for the first bad kernel, against looking at all of them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UserError
from harness.run.bisect import Answer, first_bad


@given(st.data(), st.integers(2, 60))
def test_it_finds_where_the_row_turns(data: st.DataObject, length: int) -> None:
    turn = data.draw(st.integers(1, length - 1))
    unknown = data.draw(st.sets(st.integers(1, length - 2), max_size=5)) if length > 2 else set()
    asked: list[int] = []

    def test(place: int) -> Answer:
        asked.append(place)
        if place in unknown:
            return Answer.UNKNOWN
        return Answer.BAD if place >= turn else Answer.GOOD

    found = first_bad(range(length), test)
    known = [place for place in range(length) if place not in unknown]
    assert found.last_good == max(place for place in known if place < turn)
    assert found.first_bad == min(place for place in known if place >= turn)
    assert list(found.unknown) == list(range(found.last_good + 1, found.first_bad))
    assert len(asked) == len(set(asked))
    assert len(asked) <= 2 + math.ceil(math.log2(length)) + len(unknown) + 1


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ([Answer.BAD, Answer.BAD], "0 is to be good, and is not: bad"),
        ([Answer.GOOD, Answer.GOOD], "1 is to be bad, and is not: good"),
        ([Answer.GOOD, Answer.UNKNOWN], "1 is to be bad, and is not: cannot be told"),
        ([Answer.GOOD], "give two kernels at least"),
    ],
)
def test_ends_that_are_not_what_was_said_are_refused(answers: list[Answer], says: str) -> None:
    with pytest.raises(UserError, match=says):
        first_bad(range(len(answers)), answers.__getitem__)
