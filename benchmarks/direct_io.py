# SPDX-License-Identifier: GPL-2.0-or-later
"""Hold the direct read of 2010, corrected, against the oracle: `python -m benchmarks.direct_io [--cases N]`.

Each case is a file, its faults and a read of it, from a number (`--seed` is the first). Exit code 1 if one
differs; it is then made smaller and printed. `--as_posted 1`: how many cases the code as posted gets wrong.
"""

from __future__ import annotations

import sys
import time

from benchmarks.common import arguments, run, show_machine
from reference.direct_io.rfc_2010 import Behaviour
from reference.direct_io.run import judge
from reference.direct_io.shrink import shrink
from reference.direct_io.testing import case_of

__all__ = ["main"]

PIECE = 10_000


def main() -> None:
    """Run the cases and say how fast it went."""
    args = arguments(
        __doc__ or "",
        cases=(50_000, "cases in all"),
        seed=(0, "number of the first case"),
        as_posted=(0, "1: count what the code as posted gets wrong"),
    )
    show_machine()
    behaviour = Behaviour.as_posted if args.as_posted else Behaviour.corrected
    begin, wrong = time.perf_counter(), 0
    for number in range(args.seed, args.seed + args.cases):
        complaint = judge(case_of(number), behaviour)
        wrong += bool(complaint)
        if complaint and not args.as_posted:
            smaller = shrink(case_of(number), lambda case: judge(case, behaviour))
            print(f"case {number}: {complaint}", smaller.case, smaller.complaint, sep="\n")
            sys.exit(1)
        done = number - args.seed + 1
        if done % PIECE == 0 or done == args.cases:
            speed = done / (time.perf_counter() - begin)
            print(f"{done} cases from {args.seed} on, {wrong} wrong, {speed:.0f} a second", flush=True)


if __name__ == "__main__":
    run(main)
