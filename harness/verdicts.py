# SPDX-License-Identifier: GPL-2.0-or-later
"""Verdicts: what a check concluded, on how much evidence, and its first difference."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["CaseVerdict", "Check", "Difference", "Evidence", "Verdict", "worst"]


class Verdict(StrEnum):
    """Outcome of a check or of a case."""

    PASS = "PASS"
    FAIL = "FAIL"
    UNDECIDED = "UNDECIDED"
    SKIP = "SKIP"


# A case is as bad as its worst check; evidence that is lost outweighs what passed.
_SEVERITY = [Verdict.SKIP, Verdict.PASS, Verdict.UNDECIDED, Verdict.FAIL]


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the gravest of `verdicts`; none at all is UNDECIDED, since nothing was compared."""
    return max(verdicts, key=_SEVERITY.index, default=Verdict.UNDECIDED)


@dataclass(frozen=True)
class Difference:
    """The first place where kernel and model part, with what is needed to look at it."""

    summary: str
    """One line: what the model says, what the kernel did."""
    event: int | None = None
    """Index into the bundle's event table, where there is one."""
    time_ns: int | None = None
    """Time since the recording began, ns."""
    model: tuple[str, ...] = ()
    """The model's state around the place, a line each."""
    kernel: tuple[str, ...] = ()
    """The kernel's state or events around the place, a line each."""


@dataclass(frozen=True)
class Check:
    """One named comparison. `compared` is the number of things held against the model."""

    name: str
    verdict: Verdict
    compared: int
    wrong: int = 0
    detail: str = ""
    first_difference: Difference | None = None
    by_model: bool = True
    """Whether a model predicted what was compared; not so for losses, the kernel's log and data read back."""

    @classmethod
    def of(
        cls,
        name: str,
        compared: int,
        wrong: int,
        *,
        detail: str = "",
        first: Difference | None = None,
        by_model: bool = True,
    ) -> Check:
        """Build a check whose verdict follows from its counts: comparing nothing is never a PASS."""
        if wrong:
            verdict = Verdict.FAIL
        elif compared == 0:
            verdict, detail = Verdict.UNDECIDED, detail or "nothing was compared"
        else:
            verdict = Verdict.PASS
        return cls(name, verdict, compared, wrong, detail, first, by_model)


@dataclass(frozen=True)
class Evidence:
    """What a record tells of one way in which kernels differ: a field of a model's `Behaviour`."""

    field: str
    """Its name."""
    value: bool | int | str
    """What it is of the kernel that was recorded, according to the model."""
    said: str
    """What it means, and where that is to be seen."""
    looked_at: int
    """Things that the kernel did, as far as they were looked at; 0 where no kernel has another value."""
    decided: int
    """How many of them are as the model has it, and would not be with any other value."""
    against: int
    """How many are otherwise, and would not be with another value."""


@dataclass(frozen=True)
class CaseVerdict:
    """The judgement of one bundle; written as `verdict.json` beside the bundle's files."""

    case: str
    suite: str
    verdict: Verdict
    checks: tuple[Check, ...]
    reasons: tuple[str, ...] = ()
    """Why the case is SKIP or UNDECIDED, every reason."""
    events: int = 0
    lost: int = 0
    seed: int = 0
    repeat: str = ""
    """The command that runs this case again."""
    judge: str = ""
    """The command that judges this bundle again."""
    judged_s: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    """What the reader should know besides, with how often it happened: deferred frees, releases…"""
    timeline: dict[str, Any] = field(default_factory=dict)
    """Series for plots: `t_s` (bucket starts, s), `ops` (name -> count per bucket),
    `live_states` (count at the end of each bucket), `checkpoints` ([{name, t_s, live_states}])."""
    evidence: tuple[Evidence, ...] = ()
    """Of each way in which kernels differ, as far as the judge tells."""
    cache_maps: tuple[dict[str, Any], ...] = ()
    """What of backing devices was in a cache, for pictures (`harness.bcache.picture.drawn`)."""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object written to `verdict.json`, `format` 1."""
        return {"format": 1, **asdict(self)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> CaseVerdict:
        """Read what `to_json` wrote."""
        fields = {k: v for k, v in data.items() if k != "format"}
        fields["checks"] = tuple(_check(c) for c in data["checks"])
        fields["verdict"] = Verdict(data["verdict"])
        fields["reasons"] = tuple(data["reasons"])
        fields["evidence"] = tuple(Evidence(**one) for one in data.get("evidence", ()))
        fields["cache_maps"] = tuple(data.get("cache_maps", ()))
        return cls(**fields)


def _check(data: dict[str, Any]) -> Check:
    first = data["first_difference"]
    if first is not None:
        first = Difference(**{**first, "model": tuple(first["model"]), "kernel": tuple(first["kernel"])})
    return Check(**{**data, "verdict": Verdict(data["verdict"]), "first_difference": first})
