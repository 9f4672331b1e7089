# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading flat JSON objects back into dataclasses, refusing everything that does not fit exactly."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

__all__ = ["from_json"]

R = TypeVar("R")
TYPES: dict[str, type] = {"str": str, "int": int, "bool": bool}


def from_json(record: type[R], data: Any) -> R:
    """Return `data`, parsed JSON, as a `record`; ValueError when a field is missing, unknown or mistyped."""
    types = {field.name: TYPES[str(field.type)] for field in fields(record)}  # type: ignore[arg-type]
    if not isinstance(data, dict) or data.keys() != types.keys():
        raise ValueError(f"not a {record.__name__}")
    if any(type(data[name]) is not types[name] for name in types):
        raise ValueError(f"not a {record.__name__}: a field has the wrong type")
    return record(**data)
