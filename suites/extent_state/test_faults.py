# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults put into the model are caught by judging the recorded bundles, as docs/faults.md says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.bundle import Bundle, BundleWriter
from harness.capture.checkpoints import save_checkpoints
from harness.capture.records import Kind
from harness.judge.testing import Operation, SimulatedKernel
from reference.extent_state import LINUX_6_18, Behaviour, ExtentIoTree
from reference.extent_state.testing import BEHAVIOURS, FOUND, LAYOUTS
from suites.extent_state.fault import Fault
from suites.extent_state.fault_table import FAULTS
from suites.extent_state.faults import (
    BUDGET,
    EndlessError,
    StaleFaultError,
    bundles,
    catch,
    escapes,
    kernels,
    mutant,
    row,
)

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "faults.md"


def rows_of(kernel: str) -> list[str]:
    """Return the rows of the table about one kernel."""
    section = DOCUMENT.read_text().partition(f"## {kernel}\n")[2].partition("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("| ")][1:]


def named(documented: str, among: Sequence[Bundle]) -> Sequence[Bundle]:
    """Return the bundle in which a row says that a comparison caught the fault; all if it names none.

    One bundle is enough to hold "caught" to the truth. "Not caught" and "breaks down" are said of all.
    """
    by = documented.split(" | ")[2]
    return [bundle for bundle in among if by.endswith(f" in {bundle.path.name}")] or among


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
@pytest.mark.parametrize("kernel", kernels())
def test_the_fault_is_caught_as_documented(kernel: str, fault: Fault) -> None:
    among = bundles(kernel)
    documented = [line for line in rows_of(kernel) if line.startswith(f"| {fault.name} |")]
    found = catch(mutant(fault), named(documented[0], among) if documented else among)
    assert (found is None) == escapes(fault, among), found
    assert documented == [row(fault, found, among)], (
        "run python -m suites.extent_state.faults and put its tables into docs/faults.md"
    )


@pytest.mark.parametrize("kernel", kernels())
def test_the_model_without_a_fault_passes_where_the_faults_are_caught(kernel: str) -> None:
    nothing = Fault(
        "nothing", "no edit", "tree", "class ExtentIoTree(Queries):", "class ExtentIoTree(Queries):"
    )
    assert catch(mutant(nothing), bundles(kernel)) is None


@pytest.mark.parametrize("kernel", kernels())
def test_most_faults_are_caught_by_comparison(kernel: str) -> None:
    rows = rows_of(kernel)
    assert len(rows) == len(FAULTS) >= 30
    present = [line for line in rows if "| not on this kernel" not in line]
    assert len(present) * 4 > len(rows) * 3
    assert sum("| not caught" in line or "breaks down" in line for line in present) * 5 < len(present)


def test_each_fault_is_on_some_kernel_and_named_once() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    for fault in FAULTS:
        absent = [fault.why_absent(behaviour, LAYOUTS[behaviour]) for behaviour in BEHAVIOURS]
        assert not all(absent), fault.name
        assert {behaviour.name for behaviour in BEHAVIOURS} >= fault.survives_on.keys()


def of_kernel(behaviour: Behaviour, folder: Path) -> Bundle:
    """Write the bundle of a simulated kernel."""
    kernel = SimulatedKernel(preemption=0, behaviour=behaviour)
    kernel.run([[Operation(Kind.SET, 4096 * page, 4096 * page + 4095, 1) for page in (0, 2, 1)]])
    writer = BundleWriter(folder)
    writer.add_table("events.npz", kernel.events())
    save_checkpoints(writer, [])
    names = {f"EXTENT_{name}": value for name, value in LINUX_6_18.names.items()}
    features = [f"symbol:{name}" for name in FOUND[behaviour]]
    return writer.finish({"capture": {"bits": names, "features": features, "events": len(kernel.rows)}})


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: behaviour.name)
def test_a_fault_is_absent_where_a_kernel_lacks_what_it_breaks(behaviour: Behaviour, tmp_path: Path) -> None:
    """A hole between two equal states, filled on each kernel."""
    among = [of_kernel(behaviour, tmp_path / "b")]
    for name in ("hole-joins-at-once", "hole-inserted-first"):
        fault = next(fault for fault in FAULTS if fault.name == name)
        found = catch(mutant(fault), among)
        assert (found is None) == escapes(fault, among)
        assert ("not on this kernel" in row(fault, found, among)) == (found is None)


def test_a_fault_leaves_the_model_itself_alone() -> None:
    fault = next(fault for fault in FAULTS if fault.name == "lock-never-fails")
    BUDGET.left = 1000
    broken, sound = mutant(fault)(LINUX_6_18), ExtentIoTree(LINUX_6_18)
    locked = LINUX_6_18.names["LOCKED"]
    for tree in (broken, sound):
        tree.set_extent_bit(0, 4095, locked)
    assert broken.set_extent_bit(0, 4095, locked) is None
    assert sound.set_extent_bit(0, 4095, locked) == 0
    # A copy, as the search for another order makes, has the fault as well.
    assert broken.copy().set_extent_bit(0, 4095, locked) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("start = last_end + 1\n            if state is self.anchor or", "if state is self.anchor or"),
        (
            "                state = self._next_search_state(state, end)\n            elif",
            f"{'':16}pass\n            elif",
        ),
    ],
    ids=["in another section", "in the same section"],
)
def test_a_model_that_never_ends_is_stopped(old: str, new: str) -> None:
    """A clear that goes on where it was."""
    tree = mutant(Fault("endless", "goes on", "tree", old, new))(LINUX_6_18)
    BUDGET.left = 1000
    tree.set_extent_bit(0, 4095, 2)
    with pytest.raises(EndlessError):
        tree.clear_extent_bit(0, 8191, 1)


@pytest.mark.parametrize("old", ["no such line", "state"])
def test_a_fault_whose_line_is_not_there_once_is_stale(old: str) -> None:
    with pytest.raises(StaleFaultError, match=r"times in tree\.py"):
        mutant(replace(FAULTS[0], old=old))


def test_a_fault_in_a_module_that_is_not_made_anew_is_refused() -> None:
    with pytest.raises(StaleFaultError, match="no module bits"):
        mutant(replace(FAULTS[0], module="bits"))
