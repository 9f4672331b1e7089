# SPDX-License-Identifier: GPL-2.0-or-later
"""Which case brings which fault to light: `python -m suites.direct_io.fault_table`.

Each fault is put into the corrected model; the first of the random cases that is judged wrong with it is made
smaller. Writes suites/data/direct_io_faults.json and docs/direct-io-faults.md.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from reference.direct_io import mainline, naive_mainline
from reference.direct_io.case_data import as_data, lines, of_data
from reference.direct_io.rfc_2010 import Behaviour
from reference.direct_io.run import judge
from reference.direct_io.shrink import shrink
from reference.direct_io.synthetic import Case
from reference.direct_io.testing import case_of
from suites.direct_io.fault import Fault, broken
from suites.direct_io.faults import FAULTS
from suites.direct_io.mainline_faults import MAINLINE_FAULTS

__all__ = [
    "ALL_FAULTS",
    "DATA",
    "DOCUMENT",
    "Killed",
    "cases_for",
    "document",
    "judge_broken",
    "judge_whole",
    "kill",
    "recorded",
]

ROOT = Path(__file__).parents[2]
DATA = ROOT / "suites/data/direct_io_faults.json"
DOCUMENT = ROOT / "docs/direct-io-faults.md"
CASES = 20_000
"""After so many cases a fault counts as not caught."""
ALL_FAULTS = (*FAULTS, *MAINLINE_FAULTS)
_KERNELS = (mainline.Behaviour.linux_6_18, mainline.Behaviour.linux_5_10)


class Killed(NamedTuple):
    """A fault, the smallest case that brings it to light, and what is wrong then."""

    fault: Fault
    case: Case
    complaint: str


def judge_broken(case: Case, fault: Fault) -> str:
    """Return what is wrong with `case` when the model has the fault; breaking down is wrong too."""
    with broken(fault):
        try:
            return judge_whole(case, fault)
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            return f"the model breaks down: {type(error).__name__}"


def judge_whole(case: Case, fault: Fault) -> str:
    """Return what the oracle of the model that has the fault says."""
    if fault in MAINLINE_FAULTS:
        return next(filter(None, (naive_mainline.judge(case, behaviour) for behaviour in _KERNELS)), "")
    return judge(case, Behaviour.corrected)


def cases_for(fault: Fault) -> Iterable[Case]:
    """Return random cases for the model that has the fault."""
    cases = map(case_of, range(CASES))
    if fault in MAINLINE_FAULTS:
        return (case for case in map(naive_mainline.as_mainline, cases) if case is not None)
    return cases


def kill(fault: Fault, cases: Iterable[Case]) -> Killed | None:
    """Return the first case that is wrong with the fault alone, made smaller; None if none is."""
    for case in cases:
        if judge_broken(case, fault) and not judge_whole(case, fault):
            shown = shrink(case, lambda smaller: judge_broken(smaller, fault))
            if not judge_whole(shown.case, fault):
                return Killed(fault, shown.case, shown.complaint)
    return None


def recorded() -> list[Killed]:
    """Return what was found and written down."""
    by_name = {fault.name: fault for fault in ALL_FAULTS}
    rows = json.loads(DATA.read_text())
    return [Killed(by_name[row["fault"]], of_data(row["case"]), row["complaint"]) for row in rows]


def document(killed: Sequence[Killed]) -> str:
    """Return the table as a page."""
    rows = [_row(each) for each in killed]
    return "\n".join([_HEAD.format(killed=len(killed), all=len(ALL_FAULTS)), *rows]) + "\n"


def _row(killed: Killed) -> str:
    fault = killed.fault
    case = "; ".join(lines(killed.case))
    return f"| {fault.name} | {fault.rule} | {fault.module} | {case} | {killed.complaint} |"


_HEAD = """# Faults put into the model of the direct read

Each of these mistakes is put into the models of `reference/direct_io`, one at a time, and random cases are
judged: with the corrected model of 2010 by its oracle (what is returned, all memory, what is read of the
devices), by invariants and by the machine; with that of mainline, as 6.18 and as 5.10, by the rules block by
block (`naive_mainline.py`). The first case that is wrong is made as small as it can be. These are mistakes of
the models'; what is wrong with the patch itself is in docs/bugs-2010.md.

Made by `python -m suites.direct_io.fault_table`; the words of a case are explained in docs/bugs-2010.md.

{killed} of {all} faults are caught.

| fault | rule that it breaks | module | smallest case | what is wrong |
|---|---|---|---|---|"""


def main() -> None:
    """Look for all of them, write down what was found."""
    found = []
    for fault in ALL_FAULTS:
        killed = kill(fault, cases_for(fault))
        print(f"{fault.name}: {killed.complaint if killed else 'NOT CAUGHT'}", flush=True)
        if killed is not None:
            found.append(killed)
    rows = [{"fault": k.fault.name, "complaint": k.complaint, "case": as_data(k.case)} for k in found]
    DATA.write_text(json.dumps(rows, indent=1) + "\n")
    DOCUMENT.write_text(document(found))
    sys.exit(len(found) != len(ALL_FAULTS))


if __name__ == "__main__":
    main()
