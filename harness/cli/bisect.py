# SPDX-License-Identifier: GPL-2.0-or-later
"""`iodiff bisect`."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.errors import EXIT_OK, UserError
from harness.verdicts import CaseVerdict, Verdict

if TYPE_CHECKING:
    from harness.cases import Case
    from harness.kernels import Kernel
    from harness.run.bisect import Answer

__all__ = ["bisect"]


def bisect(
    good: Annotated[str, typer.Argument(metavar="GOOD", help="A kernel on which the case passes.")],
    bad: Annotated[str, typer.Argument(metavar="BAD", help="A later one on which it fails.")],
    case: Annotated[str, typer.Argument(metavar="CASE", help="The case: see `./iodiff list`.")],
    kernel: Annotated[
        list[str] | None,
        typer.Option(
            "--kernel",
            "-k",
            help="A kernel between the two; again for more, in order: names, images, build trees, packages. "
            "Default: those of the catalogue between them.",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of all random choices; drawn if not given.")] = None,
    repeat: Annotated[
        int, typer.Option(min=1, max=9999, help="Take a kernel for good after so many rounds, not one.")
    ] = 1,
    out: Annotated[Path | None, typer.Option(help="The folder that runs go to; default results.")] = None,
) -> int:
    """Find the first kernel on which a case fails.

    Both ends are run first, then halves of what is between them; a run is kept for each kernel. Where a case
    is undecided or skipped, neighbours are asked.
    """
    from harness.cli.progress import console
    from harness.cli.selection import select
    from harness.run.bisect import first_bad

    cases = select([case], (), ())
    row = [good, *(_between(good, bad) if kernel is None else kernel), bad]
    if len(set(row)) < len(row):
        raise UserError("a kernel is given twice")
    seed = secrets.randbelow(2**32) if seed is None else seed
    tests = _Tests(cases, seed, repeat, (out or Path("results")).absolute(), kernels_of(row))
    found = first_bad(row, tests)
    console().print(f"{case}, seed {seed}: good on {found.last_good}, bad from {found.first_bad} on")
    if found.unknown:
        console().print(f"of those between them nothing can be told: {', '.join(found.unknown)}")
    for name, folder in tests.folders.items():
        console().print(f"  {name}: {folder}", soft_wrap=True)
    return EXIT_OK


def kernels_of(row: Sequence[str]) -> dict[str, Kernel]:
    """Return the kernels of these names; UserError, before any is run, where one cannot be had or run."""
    from harness.cli.kernel_choice import chosen_kernels
    from harness.cli.run import work_root
    from harness.run import GuestOptions

    kernels = chosen_kernels(row, work_root() / "bisect", "bpf", GuestOptions())
    return {kernel.name: kernel for kernel in kernels}


def _between(good: str, bad: str) -> list[str]:
    """Return what the catalogue has between the two; nothing if it does not have both."""
    from harness.kernels import HOST, catalogue

    names = [name for name in catalogue() if name != HOST]
    if good not in names or bad not in names:
        return []
    return names[names.index(good) + 1 : names.index(bad)]


@dataclass
class _Tests:
    """Runs the case on one kernel after the other, each in a run of its own."""

    cases: Sequence[Case]
    seed: int
    rounds: int
    out: Path
    kernels: dict[str, Kernel]
    folders: dict[str, Path] = field(default_factory=dict)
    """Where the run on each kernel is."""

    def __call__(self, name: str) -> Answer:
        """Run the case on the kernel of this name; bad as soon as it fails, good if it passes each time."""
        from harness.cli.progress import ConsoleObserver, console
        from harness.cli.run import work_root
        from harness.run import RunPlan, new_run_id, run_cases
        from reports import load_run, write_all

        run_id = new_run_id()
        plan = RunPlan(
            cases=self.cases,
            kernels=[self.kernels[name]],
            out=self.out / run_id,
            work=(work_root() / run_id).absolute(),
            seed=self.seed,
            run_id=run_id,
            rounds=self.rounds,
            until_fail=True,
        )
        console().print(f"{name}:")
        with ConsoleObserver(console(), plan) as observer:
            run_cases(plan, observer)
        self.folders[name] = plan.out
        run = load_run(plan.out)
        write_all(run, plan.out)
        return answer(case.verdict for case in run.cases)


def answer(verdicts: Iterable[CaseVerdict]) -> Answer:
    """Return what these verdicts say of a kernel."""
    from harness.run.bisect import Answer

    told = {verdict.verdict for verdict in verdicts}
    if Verdict.FAIL in told:
        return Answer.BAD
    return Answer.GOOD if told == {Verdict.PASS} else Answer.UNKNOWN
