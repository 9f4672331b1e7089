# SPDX-License-Identifier: GPL-2.0-or-later
"""What one bundle of a run is of: a case, with a seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.cases import Case, find_case, suite_cases
from harness.errors import UserError

__all__ = ["Trial", "trials"]


@dataclass(frozen=True)
class Trial:
    """A case to be recorded once."""

    case: Case
    seed: int
    round: int = 1
    """Of a run that repeats its cases; from 1."""

    @property
    def folder(self) -> str:
        """The name of its bundle's folder."""
        return self.case.folder if self.round == 1 else f"{self.case.folder}.{self.round}"

    def to_json(self) -> dict[str, Any]:
        """Return what the run's file says of it."""
        return {"case": self.case.id, "seed": self.seed, "round": self.round}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Trial:
        """Read what `to_json` wrote; UserError if this iodiff has no such case."""
        name = told["case"]
        try:
            known = name in {case.id for case in suite_cases(name.partition("/")[0])}
        except ModuleNotFoundError:
            known = False
        if not known:
            raise UserError(f"{name}: this iodiff has no such case: use the iodiff that the run came from")
        return cls(find_case(name), int(told["seed"]), int(told["round"]))


def trials(cases: Sequence[Case], seed: int, rounds: int = 1) -> list[Trial]:
    """Return each case once in each round: with `seed` in the first, with another seed in each other one."""
    return [Trial(case, seed + number, number + 1) for number in range(rounds) for case in cases]
