# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads during changes: what the design allows passes, and each thing that it does not allow is seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from harness.direct_io.races import Race, RaceRead, Seen, seen_in, words
from harness.judge.direct_io_races import judge_race
from harness.verdicts import Verdict
from reference.direct_io.concurrent import BLOCK, GARBAGE, Change, ChangeKind

CHUNK = 2 * BLOCK
SIZE = 4 * CHUNK
DIRECT, BUFFERED, TRUNCATE = ChangeKind

CHANGES = (
    Change(DIRECT, 0, SIZE, 0, 10),
    Change(DIRECT, 0, 2 * CHUNK, 100, 200),
    Change(DIRECT, CHUNK, CHUNK, 300, 400),
    Change(TRUNCATE, 3 * BLOCK, 0, 500, 600),
    Change(TRUNCATE, SIZE, 0, 700, 800),
)


def _read(begin: int, end: int, versions: Sequence[int], offset: int = 0) -> RaceRead:
    """Return a read of blocks of these versions, one after the other."""
    seen = [Seen(offset // BLOCK + n, 1, version) for n, version in enumerate(versions)]
    length = len(versions) * BLOCK
    return RaceRead(0, offset, length, begin, end, length, seen)


def _wrong(*reads: RaceRead, changes: Sequence[Change] = CHANGES) -> set[str]:
    checks = judge_race(Race(CHUNK, changes, reads))
    return {check.name for check in checks if check.verdict is Verdict.FAIL}


SHORT = replace(_read(650, 750, (2, 2, 3)), length=SIZE)
ALLOWED = {
    "before": _read(20, 30, (1,) * 8),
    "during, old": _read(120, 130, (1,) * 8),
    "during, new": _read(120, 130, (2, 2, 2, 2, 1, 1, 1, 1)),
    "during, a part is new": _read(120, 130, (1, 1, 2, 2, 1, 1, 1, 1)),
    "during two changes": _read(150, 350, (1, 1, 3, 3, 1, 1, 1, 1)),
    "after": _read(410, 420, (2, 2, 3, 3, 1, 1, 1, 1)),
    "cut": SHORT,
    "cut and made longer": _read(510, 750, (2, 2, 3, 0, 0, 0, 0, 0)),
    "longer after the direct part": replace(_read(650, 750, (2, 2, 3, 0)), length=SIZE),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_allowed_passes(name: str) -> None:
    checks = judge_race(Race(CHUNK, CHANGES, [ALLOWED[name]]))
    assert not [check for check in checks if check.wrong]


@pytest.mark.parametrize(
    ("check", "read"),
    [
        ("data", _read(210, 220, (1,) * 8)),
        ("data", _read(20, 30, (2, 2, 2, 2, 1, 1, 1, 1))),
        ("data", _read(120, 130, (GARBAGE, *(1,) * 7))),
        ("data", _read(120, 130, (1,) * 7 + (0,))),
        ("data", _read(410, 420, (2, 2, 2, 2, 1, 1, 1, 1))),
        ("lengths", replace(_read(120, 130, (1,) * 4), length=SIZE)),
        ("lengths", replace(_read(650, 660, (2, 2)), length=SIZE)),
        ("lengths", replace(_read(120, 130, ()), length=SIZE, returned=-5)),
        ("writes whole", _read(120, 130, (1, 2, 2, 2, 1, 1, 1, 1))),
        ("writes whole", _read(120, 130, (1, 1, 1, 2, 1, 1, 1, 1))),
    ],
)
def test_what_is_not_allowed_is_seen(check: str, read: RaceRead) -> None:
    assert check in _wrong(read)


def test_a_write_that_was_cut_is_whole_piece_by_piece() -> None:
    cut = [replace(change, cuts=(BLOCK,) if number == 1 else ()) for number, change in enumerate(CHANGES)]
    assert _wrong(_read(120, 130, (2, 1, 2, 2, 1, 1, 1, 1)), changes=cut) == set()
    assert _wrong(_read(120, 130, (2, 2, 2, 1, 1, 1, 1, 1)), changes=cut) == {"writes whole"}
    # Other writes' cuts are no excuse.
    cut = [replace(change, cuts=(BLOCK,) if number == 2 else ()) for number, change in enumerate(CHANGES)]
    assert _wrong(_read(120, 130, (2, 1, 2, 2, 1, 1, 1, 1)), changes=cut) == {"writes whole"}


def test_a_torn_block_is_seen() -> None:
    torn = replace(_read(120, 130, (1,)), seen=[Seen(0, 1, 1), Seen(0, 1, 2)])
    assert "blocks whole" in _wrong(torn)


def test_what_was_seen_must_not_be_gone_again() -> None:
    new, old = _read(120, 130, (2, 2)), _read(140, 150, (1, 1))
    assert _wrong(new, old) == {"what was seen stays"}
    assert _wrong(new, replace(old, begin_ns=125)) == set()


def test_of_writes_through_the_page_cache_less_is_demanded() -> None:
    changes = [replace(change, kind=BUFFERED) for change in CHANGES[:2]]
    assert _wrong(_read(120, 130, (1, 2, 2, 1)), changes=changes) == set()
    assert _wrong(_read(120, 130, (1, 0, 2, 1)), changes=changes) == {"data"}


def test_a_read_through_the_page_cache_may_end_where_the_file_never_did() -> None:
    changes = [CHANGES[0], replace(CHANGES[1], kind=BUFFERED), Change(TRUNCATE, BLOCK, 0, 300, 400)]
    ended = replace(_read(250, 350, (2, 2)), length=SIZE)
    assert _wrong(ended, changes=changes) == set()
    assert _wrong(replace(ended, begin_ns=210, end_ns=220), changes=changes) == {"lengths"}


def test_reads_during_which_nothing_changed_decide_nothing() -> None:
    checks = judge_race(Race(CHUNK, CHANGES, [_read(20, 30, (1,) * 8)]))
    assert {check.verdict for check in checks} == {Verdict.UNDECIDED}


def test_what_was_read_is_told_by_its_words() -> None:
    old, new = words(1, BLOCK, 2 * BLOCK), words(2, BLOCK, 2 * BLOCK)
    assert seen_in(old, BLOCK) == [Seen(1, 2, 1)]
    assert seen_in(new[:BLOCK] + old[BLOCK:], BLOCK) == [Seen(1, 1, 2), Seen(2, 1, 1)]
    assert seen_in(old[:64] + new[64:BLOCK], BLOCK) == [Seen(1, 1, 1), Seen(1, 1, 2)]
    assert seen_in(bytes(BLOCK), 0) == [Seen(0, 1, 0)]
    assert seen_in(b"\xa5" * BLOCK, 0) == [Seen(0, 1, GARBAGE)]
    # Another block's words.
    assert seen_in(old[BLOCK:], BLOCK) == [Seen(1, 1, GARBAGE)]
