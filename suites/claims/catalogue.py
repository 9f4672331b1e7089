# SPDX-License-Identifier: GPL-2.0-or-later
"""All claims, and measuring them."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from difflib import get_close_matches

from harness.claims import ClaimReport, Conclusion, Fact
from harness.errors import UserError
from suites.claims.claim import Claim
from suites.claims.direct_io import FULL_READ
from suites.claims.ext2 import CPU_TIME, FSX
from suites.claims.granularity import ANY_SIZE, ANY_TREE
from suites.claims.lockless import BENEFITS, BPLUS_RCU, RBTREE_RCU, ROTATION
from suites.claims.measure import Workbench
from suites.claims.memory import LESS_RAM
from suites.claims.operations import FEWER, SLOWER
from suites.claims.readahead import BOTH_TREES, EXTENT_TREE, TOGETHER
from suites.claims.readahead_disks import ALL_DISKS, MIRROR_SIDES
from suites.claims.rules import overall
from suites.claims.speed import FASTER

__all__ = ["CLAIMS", "chosen", "report_of"]

CLAIMS: tuple[Claim, ...] = (
    *(FASTER, FEWER, SLOWER, LESS_RAM, ANY_SIZE, CPU_TIME, FSX),
    *(RBTREE_RCU, ROTATION, BPLUS_RCU, BENEFITS, ANY_TREE),
    *(EXTENT_TREE, BOTH_TREES, TOGETHER, ALL_DISKS, MIRROR_SIDES),
    FULL_READ,
)


def chosen(names: Sequence[str]) -> list[Claim]:
    """Return the claims of these names, which may leave out what stands before the slash; UserError for "
    "others."""
    known = {claim.id: claim for claim in CLAIMS} | {claim.id.split("/")[1]: claim for claim in CLAIMS}
    found = []
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else "see `./iodiff bench --list`"
            raise UserError(f"no claim is called {name!r}: {hint}")
        found.append(known[name])
    return found


def report_of(claim: Claim, bench: Workbench) -> ClaimReport:
    """Measure `claim`, and let its rule conclude."""
    begun = time.monotonic()
    found = claim.measure(bench)
    return ClaimReport(
        id=claim.id,
        quotation=claim.quotation,
        author=claim.author,
        date=claim.date,
        source=claim.source,
        takes=claim.takes,
        method=claim.method,
        real=claim.real,
        simulated=claim.simulated,
        constants=claim.constants,
        rule=claim.rule,
        conclusion=overall(found.facts),
        why=_why(found.facts),
        facts=found.facts,
        tables=found.tables,
        plots=found.plots,
        seconds=time.monotonic() - begun,
        machine=_machine(),
        deviations=claim.deviations,
    )


def _why(facts: Sequence[Fact]) -> str:
    """Name the facts that decide: the first if all agree, else the first of each kind."""
    groups = [(c, [fact for fact in facts if fact.conclusion is c]) for c in Conclusion]
    said = [(c, group) for c, group in groups if group]
    if len(said) == 1:
        return _first(facts)
    return "; ".join(
        f"{c.value} in {len(group)} of {len(facts)} comparisons ({_first(group)})" for c, group in said
    )


def _first(facts: Sequence[Fact]) -> str:
    first = f"{facts[0].what}: {facts[0].value}"
    return f"{first}; and {len(facts) - 1} more" if len(facts) > 1 else first


def _machine() -> str:
    system = os.uname()
    return (
        f"{system.sysname} {system.release} {system.machine}, {os.cpu_count()} CPUs, "
        f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    )
