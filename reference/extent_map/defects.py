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
    """The function of fs/extent_map.c that has it."""
    radix_line: int | None
    """Its line in fs/extent_map.c of the first version (10 July 2007); None where that does not have it."""
    rbtree_line: int | None
    """The same for the second version (24 July 2007)."""
    what: str
    """What the code does."""
    consequence: str
    """What comes of it."""

    @property
    def fixed_by_second(self) -> bool | None:
        """Whether the second version fixed it; None if that version brought it in."""
        return None if self.radix_line is None else self.rbtree_line is None


def defect(
    function: str, *, radix: int | None = None, rbtree: int | None = None, what: str, consequence: str
) -> Any:
    """Declare a field of a dataclass that switches a defect on; `radix` and `rbtree` are its lines.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Pair:
    ...     swaps: bool = defect("pair", radix=3, what="gives b, a", consequence="a is read as b")
    >>> defects_of(Pair)[0].name, defects_of(Pair)[0].fixed_by_second
    ('swaps', True)
    """
    return dataclasses.field(
        default=False,
        metadata={
            "function": function,
            "radix_line": radix,
            "rbtree_line": rbtree,
            "what": what,
            "consequence": consequence,
        },
    )


def defects_of(behaviour: type[Any]) -> tuple[Defect, ...]:
    """Return the defects that the fields of a dataclass switch on, in their order."""
    return tuple(
        Defect(field.name, **field.metadata) for field in dataclasses.fields(behaviour) if field.metadata
    )
