# SPDX-License-Identifier: GPL-2.0-or-later
"""Puts faults into the model and sees whether judging the recorded bundles catches them.

A judge that passes every record proves nothing; this shows what it would not pass.
`python -m suites.extent_state.faults` prints the tables of docs/faults.md; given folders of bundles, theirs.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import numpy as np

from harness.bundle import Bundle
from harness.judge.extent_state import behaviour_of, judge_record
from harness.verdicts import Verdict
from reference.extent_state import Behaviour, BitLayout, ExtentIoTree
from suites.extent_state.fault import Fault
from suites.extent_state.fault_table import FAULTS

__all__ = [
    "BUDGET",
    "CONTENDED",
    "DATA",
    "HOST",
    "Budget",
    "Catch",
    "EndlessError",
    "StaleFaultError",
    "bundles",
    "catch",
    "escapes",
    "kernels",
    "mutant",
    "row",
    "table",
]

DATA = Path(__file__).resolve().parents[1] / "data"
"""The recorded bundles: those of 6.18, and a folder with those of each other kernel."""
HOST = "6.18"
CONTENDED = ("overtaken", "interrupted", "resumed", "debian-6.1/overtaken")
"""Bundles in which operations did not lock in the order of their allocations, or dropped the lock early."""

# Releases are searched for in up to four replays; a sound model needs a few rounds an event in each.
_ROUNDS_AN_EVENT = 200
# In the order of their imports: each is made anew, on top of those before it.
_MODULES = {
    "rbtree": "reference.rbtree.rebalance",
    "index": "reference.extent_state.index",
    "queries": "reference.extent_state.queries",
    "tree": "reference.extent_state.tree",
}


class EndlessError(Exception):
    """The model goes on and on."""


@dataclass
class Budget:
    """How many sections and rounds of loops a broken model may still go through."""

    left: int

    def spend(self) -> None:
        """Count one; raise EndlessError when there is none left."""
        self.left -= 1
        if self.left < 0:
            raise EndlessError


class _Counting(ast.NodeTransformer):
    """Lets every section and every round of a loop call `spend`."""

    def visit_While(self, node: ast.While) -> ast.AST:
        return self._counted(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._counted(node) if node.name.endswith("_section") else self.generic_visit(node)

    def _counted(self, node: ast.While | ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        node.body[:0] = ast.parse("spend()").body
        return ast.fix_missing_locations(node)


class StaleFaultError(Exception):
    """The model no longer has, exactly once, what a fault edits."""


BUDGET = Budget(0)
"""Of all mutants: filled up before each bundle."""


@dataclass(frozen=True)
class Catch:
    """How a fault showed."""

    bundle: str
    by: str
    """The check that failed, or the exception that the broken model raised."""
    compared: bool
    """Whether a comparison caught it; False if the model broke down in every bundle."""
    after: int
    """Operations of that bundle before the one that differs; 0 if the model broke down."""
    operations: int
    """Operations of that bundle."""


def mutant(fault: Fault) -> type[ExtentIoTree]:
    """Return the model with `fault` in it, as a class of its own; raises StaleFaultError."""
    if fault.module not in _MODULES:
        raise StaleFaultError(f"{fault.name}: no module {fault.module} is made anew")
    made = {path: ModuleType(path) for path in _MODULES.values()}
    with patch.dict(sys.modules, made):
        for name, path in _MODULES.items():
            namespace = made[path].__dict__
            namespace["spend"] = BUDGET.spend
            exec(compile(_Counting().visit(ast.parse(_code(name, fault))), name, "exec"), namespace)
    model: type[ExtentIoTree] = made[_MODULES["tree"]].ExtentIoTree
    return model


@cache
def kernels() -> tuple[str, ...]:
    """Return the kernels that bundles were recorded on: 6.18, then the names of the others' folders."""
    others = {path.parent.parent.name for path in DATA.glob("*/*/bundle.json")}
    return (HOST, *sorted(others))


@cache
def bundles(kernel: str = HOST) -> tuple[Bundle, ...]:
    """Return the bundles of a kernel that need no search, the one with the fewest events first."""
    return _bundles(DATA if kernel == HOST else DATA / kernel)


def _bundles(folder: Path) -> tuple[Bundle, ...]:
    paths = (path.parent for path in folder.glob("*/bundle.json"))
    found = [Bundle.open(path) for path in paths if path.name not in CONTENDED]
    return tuple(sorted(found, key=lambda bundle: int(bundle.manifest["capture"]["events"])))


def catch(model: type[ExtentIoTree], among: Sequence[Bundle]) -> Catch | None:
    """Judge bundles by `model` until a comparison fails; None if every bundle passes.

    Without the search for another order: the bundles do not need it, and no order helps a broken model.
    """
    broken = None
    for bundle in among:
        # A broken model may raise anything.
        try:
            found = _difference(bundle, model)
        except Exception as error:
            broken = broken or Catch(bundle.path.name, type(error).__name__, False, 0, 0)
        else:
            if found is not None:
                return found
    return broken


def _difference(bundle: Bundle, model: type[ExtentIoTree]) -> Catch | None:
    BUDGET.left = _ROUNDS_AN_EVENT * int(bundle.manifest["capture"]["events"])
    judgement = judge_record(bundle, model, search=False)
    failed = next((check for check in judgement.checks if check.verdict == Verdict.FAIL), None)
    if failed is None:
        return None
    operations = judgement.record.operations
    event = failed.first_difference.event if failed.first_difference else None
    after = len(operations) if event is None else int(np.searchsorted(operations.event, event))
    return Catch(bundle.path.name, failed.name, True, after, len(operations))


def row(fault: Fault, found: Catch | None, among: Sequence[Bundle]) -> str:
    """Return the fault's row in the table of docs/faults.md that is about these bundles."""
    behaviour, bits = _kernel(among)
    if absent := fault.why_absent(behaviour, bits):
        return f"| {fault.name} | {fault.what} | not on this kernel: {absent} | |"
    if found is None:
        return f"| {fault.name} | {fault.what} | not caught: {fault.why_not_caught(behaviour)} | |"
    by = f"{found.by} in {found.bundle}" if found.compared else f"the model breaks down: {found.by}"
    after = f"{found.after:,} of {found.operations:,}" if found.compared else ""
    return f"| {fault.name} | {fault.what} | {by} | {after} |"


def escapes(fault: Fault, among: Sequence[Bundle]) -> bool:
    """Tell whether the fault is known to change nothing in these bundles, for whichever reason."""
    behaviour, bits = _kernel(among)
    return bool(fault.why_absent(behaviour, bits) or fault.why_not_caught(behaviour))


def table(among: Sequence[Bundle]) -> str:
    """Return the Markdown table of all faults and how each is caught in the bundles of one kernel."""
    head = "| fault | what is wrong in the model | caught by | after operations |\n|---|---|---|---|"
    return "\n".join([head, *(row(fault, catch(mutant(fault), among), among) for fault in FAULTS)])


def _kernel(among: Sequence[Bundle]) -> tuple[Behaviour, BitLayout]:
    capture = among[0].manifest["capture"]
    return behaviour_of(capture), BitLayout.from_names(capture["bits"])


def _code(name: str, fault: Fault) -> str:
    package, _, file = _MODULES[name].rpartition(".")
    source = (files(package) / f"{file}.py").read_text()
    if name != fault.module:
        return source
    if source.count(fault.old) != 1:
        raise StaleFaultError(f"{fault.name}: its line stands {source.count(fault.old)} times in {name}.py")
    return source.replace(fault.old, fault.new)


def _print_tables(folders: Sequence[str]) -> None:
    for folder in folders:
        print(table(_bundles(Path(folder))))
    for kernel in () if folders else kernels():
        print(f"## {kernel}\n\n{table(bundles(kernel))}\n")


if __name__ == "__main__":
    _print_tables(sys.argv[1:])
