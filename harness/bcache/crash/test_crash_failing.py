# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads where devices fail: what is expected, and that a kernel which shows what is older is seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Literal

import pytest

from harness.bcache.crash.failing import (
    FAILED,
    Bad,
    Request,
    backing_stamps,
    choose_bad,
    expected,
    requests,
)
from harness.bcache.crash.judge import judge_recovery
from harness.bcache.crash.moments import disk_at
from harness.bcache.crash.predict import Prediction, predict
from harness.bcache.crash.record import Recovery
from harness.bcache.crash.stamps import Stamps
from harness.bcache.crash.testing import kept_record

BLOCK = 1
Read = Callable[[Prediction, Bad, Stamps, Request], "list[int] | None"]


@cache
def base() -> tuple[Prediction, Stamps, Bad]:
    """Return a set with dirty and clean data, what its backing device holds, and what fails."""
    record = kept_record()
    moment = record.recoveries[-1].moment
    disk = disk_at(record.entries, moment, record.disks)
    predicted = predict(disk, record.disks)
    bad = choose_bad(predicted, BLOCK, moment.seed)
    return predicted, backing_stamps(disk, record.disks.cache_sectors), bad


def read(sector: int, sectors: int, bad: Bad) -> list[int] | None:
    return expected(base()[0], bad, base()[1], Request(sector, sectors))


def one(places: Literal["dirty", "clean"]) -> int:
    """Return a sector that is dirty or clean in the cache, with a neighbour that is neither."""
    predicted = base()[0]
    known = predicted.dirty.keys() | predicted.clean.keys()
    chosen = predicted.dirty if places == "dirty" else predicted.clean
    return next(s for s in chosen if s + 1 not in known)


NOTHING = Bad(frozenset(), frozenset())


def cached(sector: int) -> Bad:
    predicted = base()[0]
    place = predicted.dirty.get(sector, predicted.clean.get(sector))
    assert place is not None
    return Bad(frozenset({place}), frozenset())


def test_where_nothing_fails_all_is_read() -> None:
    predicted, backing, _ = base()
    sector = one("dirty")
    assert read(sector, 2, NOTHING) == [predicted.stamps[sector], backing[sector + 1]]


def test_dirty_data_are_nowhere_else() -> None:
    assert read(one("dirty"), 1, cached(one("dirty"))) is FAILED


def test_clean_data_are_on_the_backing_device_too() -> None:
    sector = one("clean")
    assert read(sector, 2, cached(sector)) == base()[1][sector : sector + 2].tolist()
    both = replace(cached(sector), backing=frozenset({sector}))
    assert read(sector, 1, both) is FAILED


def test_clean_data_that_are_read_with_dirty_ones_are_lost_to_that_read() -> None:
    predicted = base()[0]
    sector = next(s for s in predicted.clean if s + 1 in predicted.dirty)
    assert read(sector, 2, cached(sector)) is FAILED


def test_what_is_cached_needs_no_backing_device() -> None:
    sector = one("dirty")
    assert read(sector, 1, Bad(frozenset(), frozenset({sector}))) == [base()[0].stamps[sector]]
    assert read(sector, 2, Bad(frozenset(), frozenset({sector + 1}))) is FAILED


def recovery(kernel: Read) -> Recovery:
    """Return what a kernel reads."""
    predicted, backing, bad = base()
    moment = kept_record().recoveries[-1].moment
    asked = requests(predicted, bad, BLOCK, moment.seed)
    return Recovery(moment, [], reads=[kernel(predicted, bad, backing, request) for request in asked])


def wrong(kernel: Read) -> set[str]:
    counted = judge_recovery(kept_record(), recovery(kernel))
    return {name for name, check in counted.items() if check.wrong}


def without_retry(predicted: Prediction, bad: Bad, backing: Stamps, request: Request) -> list[int] | None:
    places = {**predicted.dirty, **predicted.clean}
    if any(places.get(sector) in bad.cache for sector in request.range):
        return FAILED
    return expected(predicted, bad, backing, request)


def retries_always(predicted: Prediction, bad: Bad, backing: Stamps, request: Request) -> list[int] | None:
    """As if it knew nothing of `read_dirty_data`: what is older comes back."""
    found = expected(predicted, bad, backing, request)
    if found is FAILED and bad.backing.isdisjoint(request.range):
        return [int(stamp) for stamp in backing[request.sector : request.sector + request.sectors]]
    return found


def never_fails(predicted: Prediction, _bad: Bad, _backing: Stamps, request: Request) -> list[int] | None:
    return [int(stamp) for stamp in predicted.stamps[request.sector : request.sector + request.sectors]]


def test_a_kernel_that_does_as_expected() -> None:
    assert wrong(expected) == set()
    reads = recovery(expected).reads
    assert reads
    assert 50 < sum(read is FAILED for read in reads) < len(reads) - 50


@pytest.mark.parametrize("kernel", [without_retry, retries_always, never_fails])
def test_a_kernel_that_does_not(kernel: Read) -> None:
    assert wrong(kernel) == {"failing"}


def test_all_kinds_of_places_fail() -> None:
    predicted, _, bad = base()
    in_cache = {*predicted.dirty.values()} & bad.cache, {*predicted.clean.values()} & bad.cache
    assert all(in_cache)
    known = predicted.dirty.keys() | predicted.clean.keys()
    assert bad.backing & predicted.dirty.keys()
    assert bad.backing & predicted.clean.keys()
    assert bad.backing - known
