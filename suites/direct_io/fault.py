# SPDX-License-Identifier: GPL-2.0-or-later
"""A mistake that is put into a model for a while, in the code of one function."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

__all__ = ["Fault", "StaleFaultError", "broken"]


class StaleFaultError(Exception):
    """The model has changed: what the fault replaces is not there exactly once."""


@dataclass(frozen=True)
class Fault:
    """A mistake that somebody could make in the model: `new` in the place of `old`."""

    name: str
    rule: str
    """The rule that is broken."""
    module: str
    """Module of `package`."""
    old: str
    new: str
    package: str = "reference.direct_io"


@contextmanager
def broken(fault: Fault) -> Iterator[None]:
    """Put the fault into its function: whoever has imported that calls the broken code meanwhile."""
    module = importlib.import_module(f"{fault.package}.{fault.module}")
    source = Path(str(module.__file__)).read_text()
    if source.count(fault.old) != 1:
        raise StaleFaultError(
            f"{fault.name}: {fault.old!r} is {source.count(fault.old)} times in {fault.module}"
        )
    line = source[: source.index(fault.old)].count("\n") + 1
    path = _function_at(source, line)
    function = _attribute(module, path)
    whole = function.__code__
    function.__code__ = _code(
        compile(source.replace(fault.old, fault.new), str(module.__file__), "exec"), path
    )
    try:
        yield
    finally:
        function.__code__ = whole


def _function_at(source: str, line: int) -> list[str]:
    """Return the names that lead to the function with `line`: class and method, or the function alone."""
    path: list[str] = []
    body: list[ast.stmt] = ast.parse(source).body
    while not path or body:
        node = next(n for n in body if n.lineno <= line <= (n.end_lineno or n.lineno))
        assert isinstance(node, ast.FunctionDef | ast.ClassDef)
        path.append(node.name)
        body = node.body if isinstance(node, ast.ClassDef) else []
    return path


def _attribute(module: ModuleType, path: list[str]) -> Any:
    found: Any = module
    for name in path:
        found = getattr(found, name)
    return found


def _code(code: CodeType, path: list[str]) -> CodeType:
    for name in path:
        code = next(c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == name)
    return code
