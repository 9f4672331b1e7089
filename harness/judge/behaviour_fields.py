# SPDX-License-Identifier: GPL-2.0-or-later
"""The fields of a `Behaviour`: what is said of each, and which values kernels have."""

from __future__ import annotations

import ast
import inspect
from dataclasses import fields
from functools import cache
from typing import Any

__all__ = ["other_values", "said_of"]


@cache
def said_of(behaviour: type[Any]) -> dict[str, str]:
    """Return what stands below each field in the source: what it means, and where that is to be seen.

    Backquotes are taken out, lines joined.
    """
    (node,) = ast.parse(inspect.getsource(behaviour)).body
    assert isinstance(node, ast.ClassDef)
    names = {field.name for field in fields(behaviour)}
    said = {}
    for one, behind in zip(node.body, node.body[1:], strict=False):
        if not isinstance(one, ast.AnnAssign) or not isinstance(one.target, ast.Name):
            continue
        if one.target.id in names and isinstance(behind, ast.Expr) and isinstance(behind.value, ast.Constant):
            said[one.target.id] = " ".join(str(behind.value.value).replace("`", "").split())
    return said


def other_values(behaviour: Any, field: str) -> list[Any]:
    """Return which values of a field other named kernels have (`linux_...`); of a switch, the other one.

    >>> from reference.direct_io.mainline import Behaviour
    >>> other_values(Behaviour.linux_6_18, "read_limit")
    [1]
    """
    own = getattr(behaviour, field)
    if isinstance(own, bool):
        return [not own]
    named = [value for name, value in vars(type(behaviour)).items() if name.startswith("linux_")]
    return [value for value in dict.fromkeys(getattr(kernel, field) for kernel in named) if value != own]
