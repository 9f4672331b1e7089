# SPDX-License-Identifier: GPL-2.0-or-later
"""How a defect of the posted code is written down: a field of a frozen dataclass that switches it on."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

__all__ = ["Defect", "defect", "defects_of"]


class Defect(NamedTuple):
    """A defect of the patch as it was posted."""

    name: str
    """The field that switches it on."""
    function: str
    """The function of fs/btrfs/dio.c that has it."""
    line: int
    """Its line there."""
    what: str
    """What the code does."""
    consequence: str
    """What comes of it."""


def defect(function: str, line: int, *, what: str, consequence: str) -> Any:
    """Declare a field of a dataclass that switches a defect on.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Pair:
    ...     swaps: bool = defect("pair", 3, what="gives b, a", consequence="a is read as b")
    >>> defects_of(Pair)[0].name, defects_of(Pair)[0].line
    ('swaps', 3)
    """
    metadata = {"function": function, "line": line, "what": what, "consequence": consequence}
    return dataclasses.field(default=False, metadata=metadata)


def defects_of(behaviour: type[Any]) -> tuple[Defect, ...]:
    """Return the defects that the fields of a dataclass switch on, in their order."""
    return tuple(
        Defect(field.name, **field.metadata) for field in dataclasses.fields(behaviour) if field.metadata
    )
