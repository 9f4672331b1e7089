# SPDX-License-Identifier: GPL-2.0-or-later
"""Damage to a set on disk: what the kernel is expected to do, and that doing otherwise is seen."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from harness.bcache.crash.damages import DAMAGES, damaged, refusal
from harness.bcache.crash.judge import judge_recovery
from harness.bcache.crash.moments import Moment, disk_at
from harness.bcache.crash.predict import Prediction, predict
from harness.bcache.crash.record import Recovery
from harness.bcache.crash.testing import kept_record

EXPECTED = {
    "superblock of the cache": "Bad checksum",
    "superblock of the backing device": "Bad checksum",
    "newest journal entry": None,
    "newest journal entry wiped": None,
    "journal entry before the newest": None,
    "oldest journal entry that is needed": "missing!",
    "whole journal": "no journal entries found",
    "priorities": "bad csum reading priorities",
    "gen of a dirty bucket": None,
    "root": "bad checksum",
    "leaf": "bad checksum",
    "leaf wiped": "bad btree header",
    "leaf of another place": "bad checksum",
    "later set of a leaf": "bad checksum",
    "later set of a leaf gone": None,
    "dirty data": None,
    "clean data": None,
}
"""Why the kernel starts no set; None where it does."""


@cache
def base() -> tuple[Moment, bytes]:
    record = kept_record()
    marked = max(n for n, entry in enumerate(record.entries) if entry.mark)
    moment = Moment(marked + 1, "lazy", 0)
    return moment, bytes(disk_at(record.entries, moment, record.disks))


def prediction(name: str) -> Prediction:
    return predict(damaged(base()[1], kept_record().disks, name), kept_record().disks)


def test_all_damage_is_tried() -> None:
    assert DAMAGES.keys() == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_what_is_expected(name: str) -> None:
    assert refusal(prediction(name)) == EXPECTED[name]


def test_without_damage_nothing_is_refused() -> None:
    assert refusal(predict(base()[1], kept_record().disks)) is None


def recovered(name: str) -> Recovery:
    """Return a recovery as it is expected."""
    predicted = prediction(name)
    if why := refusal(predicted):
        return Recovery(base()[0], [f"bcache: {why}"], why, damage=name)
    keys, entries, seq = predicted.replay
    line = f"journal replay done, {keys} keys in {entries} entries, seq {seq}"
    return Recovery(base()[0], [line], None, "dirty", predicted.stamps, damage=name)


def wrong(recovery: Recovery) -> set[str]:
    return {name for name, counted in judge_recovery(kept_record(), recovery).items() if counted.wrong}


@pytest.mark.parametrize("name", ["leaf", "newest journal entry", "dirty data"])
def test_a_kernel_that_does_otherwise(name: str) -> None:
    expected = recovered(name)
    assert wrong(expected) == set()
    other = None if expected.refused else "bcache refuses /dev/dm-1"
    assert wrong(replace(expected, refused=other)) == {"damaged"}


def test_a_kernel_that_refuses_for_another_reason() -> None:
    assert wrong(replace(recovered("leaf"), lines=["bcache: bad magic"])) == {"damaged"}


@pytest.mark.parametrize("name", ["newest journal entry", "later set of a leaf gone", "dirty data"])
def test_a_kernel_that_shows_what_was_there_before_the_damage(name: str) -> None:
    sound = predict(base()[1], kept_record().disks)
    assert wrong(replace(recovered(name), stamps=sound.stamps)) == {"content"}
