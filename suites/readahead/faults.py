# SPDX-License-Identifier: GPL-2.0-or-later
"""Puts faults into the readahead engine, and sees what catches them.

First the recorded bundles of `suites/data`, the smallest first, each up to its first difference, in the order
of threads that the engine without a fault agrees with; for what none of them shows, records of the model
itself (`simulated.py`), and then properties (`properties.py`).
`python -m suites.readahead.faults` prints the table of docs/readahead-faults.md; given folders of bundles,
theirs.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

from harness.bundle import Bundle
from harness.judge.readahead import COMPARED
from harness.judge.readahead_replay import Disagreement, Engine, Replay, Waits
from harness.judge.readahead_search import Search
from harness.readahead.excerpt import Excerpt, load_excerpt
from harness.readahead.record import EVENTS_FILE, Event, Kind, Request, events_of, load_requests
from reference.readahead import Readahead
from suites.readahead.fault import Fault
from suites.readahead.fault_table import FAULTS
from suites.readahead.properties import broken_property
from suites.readahead.simulated import SCENES

__all__ = [
    "BUDGET",
    "DATA",
    "Catch",
    "EndlessError",
    "Mutant",
    "Record",
    "StaleFaultError",
    "catch",
    "mutant",
    "read_records",
    "records",
    "row",
]

DATA = Path(__file__).resolve().parents[1] / "data"
"""Where the recorded bundles are."""

# In the order of their imports: each is made anew, on top of those before it.
_MODULES = ("work", "zones", "extents", "hook", "control", "machine", "engine")
_ROUNDS_A_ROW = 100
_ROUNDS_OF_PROPERTIES = 2_000_000


class EndlessError(Exception):
    """The engine goes on and on."""


class StaleFaultError(Exception):
    """The engine no longer has, exactly once, what a fault edits."""


@dataclass
class Budget:
    """How many rounds of loops a broken engine may still go through."""

    left: int

    def spend(self) -> None:
        """Count one; raise EndlessError when there is none left."""
        self.left -= 1
        if self.left < 0:
            raise EndlessError


BUDGET = Budget(0)
"""Of all mutants: filled up before each record."""


class _Counting(ast.NodeTransformer):
    """Lets every round of a loop call `spend`."""

    def visit_While(self, node: ast.While) -> ast.AST:
        self.generic_visit(node)
        node.body[:0] = ast.parse("spend()").body
        return ast.fix_missing_locations(node)


@dataclass(frozen=True)
class Mutant:
    """The engine with a fault in it."""

    functions: Engine
    """What the judge calls."""
    readahead: type[Readahead]
    """All of it, with reads that wait for the caller."""


@dataclass(frozen=True)
class Record:
    """A recorded bundle, read once for all faults."""

    name: str
    events: Sequence[Event]
    requests: Sequence[Request]
    excerpt: Excerpt
    delays: Mapping[int, Waits]
    """The order of threads (`Search.delays`)."""


@dataclass(frozen=True)
class Catch:
    """How a fault showed."""

    where: str
    """The check and the bundle, or the property."""
    after: str = ""
    """How far into the bundle."""


def mutant(fault: Fault) -> Mutant:
    """Return the engine with `fault` in it, in modules of its own; raises StaleFaultError."""
    made = {name: ModuleType(f"reference.readahead.{name}") for name in _MODULES}
    with patch.dict(sys.modules, {module.__name__: module for module in made.values()}):
        for name, module in made.items():
            module.__dict__["spend"] = BUDGET.spend
            exec(compile(_Counting().visit(ast.parse(_code(name, fault))), name, "exec"), module.__dict__)
    control, hook, machine = made["control"], made["hook"], made["machine"]
    functions = Engine(
        control.btrfs_reada_add,
        control.btrfs_reada_wait,
        control.btrfs_reada_detach,
        hook.btree_readahead_hook,
        machine.reada_start_machine_worker,
        made["work"].reada_start_machine,
    )
    return Mutant(functions, made["engine"].Readahead)


def _code(name: str, fault: Fault) -> str:
    code = files("reference.readahead").joinpath(f"{name}.py").read_text()
    if name != fault.module:
        return code
    if code.count(fault.old) != 1:
        raise StaleFaultError(f"{fault.name}: {fault.old!r} is {code.count(fault.old)} times in {name}.py")
    return code.replace(fault.old, fault.new)


@cache
def records() -> tuple[Record, ...]:
    """Return the recorded bundles of readaheads, the smallest first, and then those simulated."""
    return (*read_records(DATA), *simulated_records())


def simulated_records() -> Iterator[Record]:
    """Yield the records of the model itself."""
    for name, scene in SCENES.items():
        kernel = scene()
        yield _record(f"simulated: {name}", kernel.rows, kernel.requests, kernel.excerpt)


def read_records(folder: Path) -> tuple[Record, ...]:
    """Return the bundles with readaheads below `folder`, the smallest first."""
    bundles = [Bundle.open(path.parent) for path in folder.glob(f"**/{EVENTS_FILE}")]
    found = [
        _record(bundle.path.name, events_of(bundle), load_requests(bundle), load_excerpt(bundle))
        for bundle in bundles
    ]
    return tuple(sorted(found, key=lambda record: len(record.events)))


def _record(name: str, events: Sequence[Event], requests: Sequence[Request], excerpt: Excerpt) -> Record:
    search = Search(Replay(events, requests, excerpt))
    search.run()
    if search.disagreement is not None:
        raise AssertionError(f"{name}: the engine without a fault differs: {search.disagreement}")
    return Record(name, events, requests, excerpt, search.delays)


def catch(broken: Mutant, among: Sequence[Record]) -> Catch | None:
    """Return what first catches a fault: one of the records, or else a property."""
    for record in among:
        BUDGET.left = _ROUNDS_A_ROW * len(record.events)
        if (found := _caught_by(broken.functions, record)) is not None:
            return found
    BUDGET.left = _ROUNDS_OF_PROPERTIES
    try:
        name = broken_property(broken.readahead)
    except EndlessError:
        name = "the engine ends"
    return None if name is None else Catch(f"property: {name}")


def _caught_by(engine: Engine, record: Record) -> Catch | None:
    replay = Replay(record.events, record.requests, record.excerpt, engine)
    replay.delays = record.delays
    try:
        replay.run()
    except EndlessError:
        return Catch(f"the engine does not end in {record.name}", _place(replay.at, record))
    except Disagreement as found:
        return Catch(f"{_check(found, record)} in {record.name}", _place(found.event, record))
    return None


def _check(found: Disagreement, record: Record) -> str:
    kind = Kind(record.events[found.event].kind)
    return next(name for name, kinds in COMPARED.items() if kind in kinds)


def _place(event: int, record: Record) -> str:
    return f"{event:,} of {len(record.events):,}"


def row(fault: Fault, found: Catch | None) -> str:
    """Return the fault's row of the table."""
    found = found or Catch("not caught")
    return f"| {fault.name} | {fault.what} | {found.where} | {found.after} |"


def table(among: Sequence[Record]) -> Iterator[str]:
    """Yield the rows of all faults."""
    return (row(fault, catch(mutant(fault), among)) for fault in FAULTS)


def _main(folders: Sequence[str]) -> None:
    recorded = [record for folder in folders for record in read_records(Path(folder))]
    among = [*recorded, *simulated_records()] if folders else records()
    print("| fault | what is wrong in the engine | caught by | after events |")
    print("|---|---|---|---|")
    for line in table(among):
        print(line, flush=True)


if __name__ == "__main__":
    _main(sys.argv[1:])
