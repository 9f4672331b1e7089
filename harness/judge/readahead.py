# SPDX-License-Identifier: GPL-2.0-or-later
"""The judgement of a record of the readahead engine: the replay, and what holds whatever the order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.bundle import Bundle
from harness.judge.readahead_coverage import BRANCHES
from harness.judge.readahead_probes import text
from harness.judge.readahead_replay import Disagreement, Engine, Replay
from harness.judge.readahead_search import MOST_ROWS, Search
from harness.judge.readahead_sets import SetFinding, set_findings
from harness.readahead.excerpt import load_excerpt
from harness.readahead.record import Event, Kind, events_of, load_requests
from harness.verdicts import Check, Difference, Verdict
from reference.readahead import Behaviour

__all__ = ["COMPARED", "ReadaheadJudgement", "judge_readahead"]

COMPARED: dict[str, tuple[Kind, ...]] = {
    "devices asked": (Kind.DEV_ENTER, Kind.DEV_RETURN),
    "zones seen": (Kind.PICK, Kind.ZONE),
    "zones picked": (Kind.PICK_RETURN,),
    "blocks picked": (Kind.SUBMIT,),
    "blocks queued": (Kind.ADD_RETURN, Kind.BLOCK, Kind.BLOCK_RETURN),
    "blocks finished": (Kind.HOOK_WORK, Kind.HOOK_WORK_END, Kind.HOOK_RETURN, Kind.PUT),
    "works": (Kind.START, Kind.WORKER_END),
    "waits": (Kind.WAIT_RETURN, Kind.DETACH),
}
"""The checks of the replay, and whose rows each counts."""

_BEFORE = 6
"""Rows shown before one that differs."""


@dataclass(frozen=True)
class ReadaheadJudgement:
    """Checks and remarks."""

    checks: tuple[Check, ...]
    counts: dict[str, int]
    """Branches of the engine with how often the replay took them, and remarks."""


def judge_readahead(
    bundle: Bundle,
    engine: Engine | None = None,
    behaviour: Behaviour = Behaviour.linux_5_10,
    *,
    rows: int = MOST_ROWS,
) -> ReadaheadJudgement:
    """Judge the record of `bundle` by `engine`; UserError if it is malformed.

    `rows`: so many are replayed to find another order where the record leaves it open and the model differs.
    """
    events, requests, excerpt = events_of(bundle), load_requests(bundle), load_excerpt(bundle)
    replay = Replay(events, requests, excerpt, engine, behaviour)
    search = Search(replay, rows=rows)
    search.run()
    checks = [_replay_check(name, kinds, replay, search) for name, kinds in COMPARED.items()]
    checks += [_set_check(found, events) for found in set_findings(events, requests, excerpt, behaviour)]
    counts = {branch: replay.coverage.taken[branch] for branch in BRANCHES}
    counts["places where another order of threads had to be found"] = search.resolved
    return ReadaheadJudgement(tuple(checks), counts)


def _replay_check(name: str, kinds: tuple[Kind, ...], replay: Replay, search: Search) -> Check:
    compared = sum(replay.compared[kind] for kind in kinds)
    found = search.disagreement
    if found is None:
        return Check.of(name, compared, 0)
    if replay.events[found.event].kind not in kinds:
        return Check.of(name, compared, 0, detail="up to the first difference")
    first = _difference(found, replay)
    if search.cut_off:
        detail = "the search for another order was cut off"
        return Check(name, Verdict.UNDECIDED, compared, 0, detail, first)
    detail = "no order of the threads was found that agrees" if search.tried else ""
    return Check.of(name, compared + 1, 1, detail=detail, first=first)


def _difference(found: Disagreement, replay: Replay) -> Difference:
    event = replay.events[found.event]
    return Difference(
        summary=f"the kernel: {text(event)}; the model: {found.model}",
        event=found.event,
        time_ns=event.time_ns,
        model=replay.state(),
        kernel=tuple(map(_line, replay.events[max(found.event - _BEFORE, 0) : found.event + 1])),
    )


def _set_check(found: SetFinding, events: Sequence[Event]) -> Check:
    first = None
    if found.wrong:
        row, what = found.wrong[0]
        first = Difference(summary=what, event=row, time_ns=events[row].time_ns, kernel=(_line(events[row]),))
    return Check.of(found.name, found.compared, len(found.wrong), first=first)


def _line(event: Event) -> str:
    return f"thread {event.pid}: {text(event)}"
