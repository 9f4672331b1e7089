# SPDX-License-Identifier: GPL-2.0-or-later
"""The catalogue of the defects of July 2007 as plain values: what `iodiff bugs --json` prints.

A catalogue is a dict: `seed`; `versions`, their dates; `ways`, how reproducers are found; `defects`, a dict
for each (see `_defect`); `corrected`, what was found in the corrected versions, which should be nothing.
"""

from __future__ import annotations

import difflib
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from harness.errors import UserError
from reference.bugs import (
    ALL_DEFECTS,
    STRUCTURES,
    WAYS,
    Catch,
    RandomOf,
    Row,
    Version,
    clean,
    corrected,
    half_of,
    having,
    hunt,
)
from reference.extent_map import Defect

__all__ = ["VERSIONS", "Catalogue", "all_is_well", "catalogue", "defects_named", "random_of"]

Catalogue = dict[str, Any]
Progress = Callable[[str], None]

VERSIONS = {"radix": "10 July 2007", "rbtree": "24 July 2007"}
"""When each version was posted, in the order of posting."""


def catalogue(
    seed: int, name: str | None = None, *, traces: bool = False, progress: Progress = lambda _: None
) -> Catalogue:
    """Hunt all defects, and the corrected versions; or the defect `name` only. UserError if there is none.

    The same seed gives the same catalogue. `traces` adds each reproducer step by step. `progress` is told
    what is looked for next: each defect, and without `name` each corrected version.
    """
    return {
        "seed": seed,
        "versions": VERSIONS,
        "ways": dict(WAYS),
        "defects": list(_defects(defects_named(name), seed, traces, progress)),
        "corrected": [] if name else list(_corrected(seed, progress)),
    }


def defects_named(name: str | None) -> Sequence[Defect]:
    """Return the defect `name`, or all without one; UserError if there is none of that name."""
    if name is None:
        return ALL_DEFECTS
    names = {defect.name: defect for defect in ALL_DEFECTS}
    if name in names:
        return [names[name]]
    alike = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {alike[0]}?" if alike else "`iodiff bugs --list` names them all"
    raise UserError(f"{name}: no defect of that name: {hint}")


def all_is_well(found: Catalogue) -> bool:
    """Tell whether each defect is caught wherever it is, and nothing in the corrected versions."""
    caught = all(defect["caught"] for defect in found["defects"])
    return caught and not any(version["found"] for version in found["corrected"])


def _defects(
    defects: Iterable[Defect], seed: int, traces: bool, progress: Progress
) -> Iterator[dict[str, Any]]:
    for defect in defects:
        progress(defect.name)
        yield _defect(hunt(defect, random_of(seed)), traces)


def _corrected(seed: int, progress: Progress) -> Iterator[dict[str, Any]]:
    for structure in STRUCTURES:
        progress(f"the corrected {structure} version")
        found = [_caught(catch, corrected(structure)) for catch in clean(structure, random_of(seed))]
        yield {"version": structure, "found": found}


def random_of(seed: int) -> RandomOf:
    """Return what makes the random numbers of each hunt from its name."""
    return lambda name: random.Random(f"{seed} {name}")


def _defect(row: Row, traces: bool) -> dict[str, Any]:
    """Return a defect: `lines` and `catches` by version; a catch is null where no check finds it."""
    defect = row.defect
    return {
        "name": defect.name,
        "half": half_of(defect),
        "function": defect.function,
        "lines": {"radix": defect.radix_line, "rbtree": defect.rbtree_line},
        "what": defect.what,
        "consequence": defect.consequence,
        "fixed_by_second": defect.fixed_by_second,
        "caught": row.caught,
        "catches": {
            structure: catch and _caught(catch, having(structure, defect), traces=traces)
            for structure, catch in row.catches.items()
        },
    }


def _caught(catch: Catch, version: Version, *, traces: bool = False) -> dict[str, Any]:
    reproducer, shown = catch
    caught = {
        "way": reproducer.way,
        "check": shown.check,
        "finding": str(shown),
        "reproducer": reproducer.lines(version),
        "data": reproducer.data(),
    }
    return {**caught, "trace": reproducer.trace(version)} if traces else caught
