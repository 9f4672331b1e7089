# SPDX-License-Identifier: GPL-2.0-or-later
"""Each tree against the sorted list, with the operations that hypothesis chooses; valid after each."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from reference.index.testing import COUNTABLE, Index, Twins
from reference.index.work import counting
from reference.rbtree import U64_MAX, Extent

ENDS = st.one_of(
    st.integers(0, 40),
    st.integers(0, 5_000),
    st.integers(0, U64_MAX),
    st.builds(lambda bits, less: max(0, (1 << bits) - less), st.integers(0, 63), st.integers(0, 2)),
)


class AgainstTheList(RuleBasedStateMachine):
    cls: type[Index]

    def __init__(self) -> None:
        super().__init__()
        self.twins = Twins(self.cls())

    @rule(end=ENDS)
    def insert(self, end: int) -> None:
        self.twins.insert(end)

    @rule(end=ENDS, step=st.integers(1, 300), count=st.integers(1, 40))
    def insert_row(self, end: int, step: int, count: int) -> None:
        for number in range(count):
            self.twins.insert(min(end + number * step, U64_MAX))

    @rule(end=ENDS, offset=ENDS, near=st.booleans())
    def insert_before(self, end: int, offset: int, near: bool) -> None:
        self.twins.insert_before(end, end if near else offset)

    @rule(end=ENDS)
    def delete(self, end: int) -> None:
        self.twins.delete(end)

    @rule(offset=ENDS, count=st.integers(1, 40))
    def erase_row(self, offset: int, count: int) -> None:
        for _ in range(count):
            self.twins.erase_from(offset)

    @rule(offset=ENDS, length=st.integers(0, 100))
    def move_start(self, offset: int, length: int) -> None:
        entry: Extent | None = self.twins.naive.search(offset)
        if entry is not None:
            entry.start = max(0, entry.end - length)

    @rule(offset=ENDS, count=st.integers(0, 70))
    def ask(self, offset: int, count: int) -> None:
        self.twins.ask(offset, count)

    @invariant()
    def same(self) -> None:
        self.twins.compare()


@pytest.mark.parametrize("cls", [*COUNTABLE, *map(counting, COUNTABLE)], ids=lambda cls: cls.__name__)
def test_like_a_sorted_list(cls: type[Index]) -> None:
    machine = type("Machine", (AgainstTheList,), {"cls": cls})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=40, stateful_step_count=30, deadline=None, database=None)
    )
