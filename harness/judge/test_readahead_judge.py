# SPDX-License-Identifier: GPL-2.0-or-later
"""Records of readaheads that agree with the model pass; each that was tampered with does not."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.judge.readahead import COMPARED, judge_readahead
from harness.judge.readahead_coverage import BRANCHES
from harness.judge.readahead_replay import Disagreement, Replay
from harness.judge.readahead_search import Search
from harness.judge.readahead_sets import set_findings
from harness.judge.verdict import judge_bundle
from harness.readahead.excerpt import Device
from harness.readahead.record import Event, Kind, Request
from harness.readahead.testing import SimulatedKernel, Wanted, write_bundle
from harness.verdicts import CaseVerdict, Verdict
from reference.readahead import MAX_KEY, MIN_KEY, Behaviour
from reference.readahead.testing import NODESIZE, Blocks, key

DEVICES = 4
SETS = (
    "blocks read are those of the range",
    "each block read once until it is over",
    "each block read from a copy of its own",
    "no block wanted before its parent was read",
    "waits end when all is read",
)


def kernel(
    seed: int,
    *,
    wanted: int = 2,
    leaves: int = 60,
    switches: float = 0.0,
    late: float = 0.0,
    threads: int = 1,
    missing: int = 0,
    fails: int = 0,
    forgets: float = 0.0,
) -> SimulatedKernel:
    """Return a record of readaheads of one tree, mirrored on pairs of devices."""
    rng = random.Random(seed)
    source = Blocks([tuple(rng.sample(range(1, DEVICES + 1), 2)) for _ in range(6)], 32)
    places = list(range(6 * 32))
    rng.shuffle(places)
    root = source.grow(leaves, 8, places, stale=rng.sample(places[:leaves], 2))
    some = Request(2, key(rng.randrange(100)), key(rng.randrange(300, 600)))
    requests = [Request(2, MIN_KEY, MAX_KEY), *[some] * (wanted - 1)]
    return SimulatedKernel(
        source,
        [Device(devid, missing=devid == missing) for devid in range(1, DEVICES + 1)],
        [Wanted(root, request, waits=number % 3 != 2) for number, request in enumerate(requests)],
        seed,
        switches=switches,
        late=late,
        workers=threads,
        ends=threads,
        failing={place * NODESIZE for place in places[leaves - fails : leaves + 1]} if fails else (),
        forgets=forgets,
    ).run()


def verdicts(verdict: CaseVerdict) -> dict[str, Verdict]:
    return {check.name: check.verdict for check in verdict.checks}


def replayed(record: SimulatedKernel) -> Search:
    search = Search(Replay(record.rows, record.requests, record.excerpt))
    search.run()
    return search


def test_a_record_in_order_passes_without_a_search(tmp_path: Path) -> None:
    verdict = judge_bundle(write_bundle(tmp_path / "b", kernel(3)))
    assert verdict.verdict == Verdict.PASS
    assert verdicts(verdict).keys() >= {*COMPARED, *SETS}
    compared = {check.name: check.compared for check in verdict.checks}
    assert compared["blocks picked"] > 60
    assert all(compared[name] > 0 for name in (*COMPARED, *SETS))
    assert verdict.counts["places where another order of threads had to be found"] == 0


@pytest.mark.parametrize("missing", [0, 1, 3])
@pytest.mark.parametrize("fails", [0, 8])
@pytest.mark.parametrize("forgets", [0.0, 0.5])
def test_errors_missing_devices_and_forgotten_blocks_pass(missing: int, fails: int, forgets: float) -> None:
    for seed in range(4):
        record = kernel(seed, wanted=4, missing=missing, fails=fails, forgets=forgets)
        assert replayed(record).disagreement is None
        found = set_findings(record.rows, record.requests, record.excerpt, Behaviour.linux_5_10)
        assert [(one.name, one.wrong) for one in found if one.wrong] == []


@pytest.mark.parametrize("seed", [2, 3, 4, 5, 8])
def test_records_of_threads_that_meet_are_put_in_order(seed: int) -> None:
    """Replayed by the order of the rows alone, these would differ."""
    record = kernel(seed, switches=0.03, late=0.05)
    with pytest.raises(Disagreement):
        Replay(record.rows, record.requests, record.excerpt).run()
    search = replayed(record)
    assert search.disagreement is None
    assert search.resolved > 0
    again = Replay(record.rows, record.requests, record.excerpt)
    again.delays = search.delays
    again.run()


def nth(rows: list[Event], kind: Kind, which: int = 12) -> int:
    return [number for number, row in enumerate(rows) if row.kind == kind][which]


def changed(kind: Kind, which: int = 12, **fields: int) -> Callable[[list[Event]], None]:
    """Return what adds to fields of a row."""

    def change(rows: list[Event]) -> None:
        number = nth(rows, kind, which)
        new = {name: getattr(rows[number], name) + value for name, value in fields.items()}
        rows[number] = rows[number]._replace(**new)

    return change


def dropped(kind: Kind) -> Callable[[list[Event]], None]:
    return lambda rows: rows.pop(nth(rows, kind)) and None


def doubled(kind: Kind) -> Callable[[list[Event]], None]:
    return lambda rows: rows.insert(nth(rows, kind), rows[nth(rows, kind)])


@pytest.mark.parametrize(
    ("tamper", "check"),
    [
        (changed(Kind.SUBMIT, mirror=1), "blocks picked"),
        (changed(Kind.SUBMIT, logical=NODESIZE), "blocks picked"),
        (changed(Kind.PICK_RETURN, next=NODESIZE), "zones picked"),
        (changed(Kind.PICK_RETURN, value=1), "zones picked"),
        (changed(Kind.ZONE, value=1), "zones seen"),
        (changed(Kind.ZONE, locked=1), "zones seen"),
        (changed(Kind.PICK, start=NODESIZE), "zones seen"),
        (changed(Kind.DEV_ENTER, devid=1), "devices asked"),
        (changed(Kind.DEV_RETURN, value=-1, which=3), "devices asked"),
        (changed(Kind.BLOCK, logical=NODESIZE), "blocks queued"),
        (changed(Kind.BLOCK, rc=1), "blocks queued"),
        (changed(Kind.BLOCK_RETURN, value=-1), "blocks queued"),
        (changed(Kind.HOOK_WORK, err=-5), None),
        (changed(Kind.HOOK_RETURN, value=-1), "blocks finished"),
        (changed(Kind.PUT, logical=NODESIZE), "blocks finished"),
        (dropped(Kind.PUT), None),
        (dropped(Kind.START), None),
        (doubled(Kind.START), "works"),
        (doubled(Kind.SUBMIT), "blocks picked"),
        (dropped(Kind.HOOK_WORK_END), None),
    ],
)
def test_what_the_model_would_not_do_fails(
    tmp_path: Path, tamper: Callable[[list[Event]], None], check: str | None
) -> None:
    record = kernel(3)
    rows = list(record.rows)
    tamper(rows)
    judged = judge_readahead(write_bundle(tmp_path / "b", record, rows), rows=20_000)
    wrong = [one for one in judged.checks if one.verdict == Verdict.FAIL and one.name in COMPARED]
    assert len(wrong) == 1
    assert check in (None, wrong[0].name)
    first = wrong[0].first_difference
    assert first is not None
    assert "the kernel: " in first.summary
    assert "; the model: " in first.summary


def in_sets(record: SimulatedKernel, rows: list[Event]) -> set[str]:
    found = set_findings(rows, record.requests, record.excerpt, Behaviour.linux_5_10)
    return {one.name for one in found if one.wrong}


def wait_early(rows: list[Event]) -> None:
    rows.insert(nth(rows, Kind.HOOK_WORK, -1), rows.pop(nth(rows, Kind.WAIT_RETURN, -1)))


def block_before_parent(rows: list[Event]) -> None:
    number = nth(rows, Kind.BLOCK)
    hook = max(n for n in range(number) if rows[n].kind == Kind.HOOK_WORK)
    rows.insert(hook, rows.pop(number))


@pytest.mark.parametrize(
    ("tamper", "names"),
    [
        (lambda rows: rows.pop(nth(rows, Kind.BLOCK, 30)), {SETS[0]}),
        (doubled(Kind.SUBMIT), {SETS[1]}),
        (changed(Kind.SUBMIT, mirror=1), {SETS[2]}),
        (block_before_parent, {SETS[3]}),
        (wait_early, {SETS[4]}),
        (changed(Kind.BLOCK, 30, logical=NODESIZE), {SETS[0], SETS[3]}),
    ],
)
def test_sets_that_are_wrong_are_seen_without_the_engine(
    tamper: Callable[[list[Event]], None], names: set[str]
) -> None:
    record = kernel(3)
    rows = list(record.rows)
    tamper(rows)
    assert in_sets(record, list(record.rows)) == set()
    assert in_sets(record, rows) >= names


def test_lost_events_decide_nothing(tmp_path: Path) -> None:
    lost = {"method": "module", "events": 9, "lost": 1, "lost_reasons": {"ring": 1}, "features": []}
    verdict = judge_bundle(write_bundle(tmp_path / "b", kernel(3), capture=lost))
    assert verdict.verdict == Verdict.UNDECIDED
    assert not set(COMPARED) & verdicts(verdict).keys()


def test_a_record_of_nothing_is_no_pass(tmp_path: Path) -> None:
    verdict = judge_bundle(write_bundle(tmp_path / "b", kernel(3), []))
    assert verdict.verdict == Verdict.UNDECIDED
    assert {verdicts(verdict)[name] for name in (*COMPARED, *SETS)} == {Verdict.UNDECIDED}


def test_a_malformed_record_decides_nothing_and_says_why(tmp_path: Path) -> None:
    record = kernel(3)
    orphan = Event(1, Kind.DEV_ENTER, pid=999, devid=1)
    verdict = judge_bundle(write_bundle(tmp_path / "b", record, [*record.rows[:50], orphan]))
    assert verdict.verdict == Verdict.UNDECIDED
    (reason,) = verdict.reasons
    assert reason.startswith("event 50 of the record: DEV_ENTER devid 1")
    assert "thread 999 has called nothing" in reason


def test_a_request_that_is_not_there_decides_nothing(tmp_path: Path) -> None:
    record = kernel(3)
    rows = list(record.rows)
    changed(Kind.ADD, 0, start=99)(rows)
    (reason,) = judge_bundle(write_bundle(tmp_path / "b", record, rows)).reasons
    assert "request 99 is not among 2" in reason


def test_a_search_that_is_cut_off_decides_nothing(tmp_path: Path) -> None:
    record = kernel(1, switches=0.05, late=0.1)
    judged = judge_readahead(write_bundle(tmp_path / "b", record), rows=1)
    assert {check.verdict for check in judged.checks if check.name in COMPARED} == {
        Verdict.PASS,
        Verdict.UNDECIDED,
    }
    assert any("cut off" in check.detail for check in judged.checks)


def test_a_replay_can_go_back() -> None:
    record = kernel(3)
    replay = Replay(record.rows, record.requests, record.excerpt)
    while not replay.is_quiet or replay.at < 500:
        replay.step()
    saved, before = replay.save(), replay.state()
    replay.run()
    end, compared = replay.state(), replay.compared.copy()
    replay.restore(saved)
    assert (replay.at, replay.state()) == (saved.at, before)
    replay.run()
    assert (replay.state(), replay.compared) == (end, compared)


def test_every_branch_that_is_counted_is_listed() -> None:
    taken: set[str] = set()
    for seed in range(8):
        record = kernel(seed, wanted=4, missing=seed % 4, fails=8 * (seed % 2), forgets=0.5)
        replay = Replay(record.rows, record.requests, record.excerpt)
        replay.run()
        taken |= replay.coverage.taken.keys()
    assert taken <= set(BRANCHES)
    assert len(taken) >= 34
