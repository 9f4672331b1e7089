# SPDX-License-Identifier: GPL-2.0-or-later
"""Which branches of the engine the replays of recorded bundles went through.

`python -m suites.readahead.coverage FOLDER...` prints a table of the bundles and one of the branches.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.bundle import Bundle
from harness.judge.readahead import ReadaheadJudgement, judge_readahead
from harness.judge.readahead_coverage import BRANCHES
from harness.readahead.record import EVENTS_FILE
from harness.verdicts import worst

__all__ = ["lines"]

_SHOWN = ("blocks picked", "zones picked", "devices asked", "zones seen")
_REORDERED = "places where another order of threads had to be found"


def lines(folders: Sequence[Path]) -> Iterator[str]:
    """Yield the lines of both tables."""
    taken: Counter[str] = Counter()
    bundles: Counter[str] = Counter()
    compared: Counter[str] = Counter()
    yield "| bundle | verdict | blocks picked | zones picked | devices asked | zones seen | orders found |"
    yield "|---|---|---:|---:|---:|---:|---:|"
    for path in sorted(file.parent for folder in folders for file in folder.rglob(EVENTS_FILE)):
        judged = judge_readahead(Bundle.open(path))
        yield _bundle(path.name, judged)
        compared.update({check.name: check.compared for check in judged.checks})
        taken.update({branch: judged.counts[branch] for branch in BRANCHES})
        bundles.update(branch for branch in BRANCHES if judged.counts[branch])
    yield f"| all | | {' | '.join(f'{compared[name]:,}' for name in _SHOWN)} | |"
    yield ""
    yield "| branch | times | bundles |"
    yield "|---|---:|---:|"
    yield from (f"| {branch} | {taken[branch]:,} | {bundles[branch]} |" for branch in BRANCHES)


def _bundle(name: str, judged: ReadaheadJudgement) -> str:
    compared = {check.name: check.compared for check in judged.checks}
    numbers = " | ".join(f"{compared[shown]:,}" for shown in _SHOWN)
    verdict = worst(check.verdict for check in judged.checks)
    return f"| {name} | {verdict} | {numbers} | {judged.counts[_REORDERED]} |"


if __name__ == "__main__":
    for line in lines([Path(argument) for argument in sys.argv[1:]]):
        print(line, flush=True)
