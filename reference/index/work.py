# SPDX-License-Identifier: GPL-2.0-or-later
"""What an index did and what it occupies, in the kernel's terms, and counting that costs nothing when off.

Counting stands in the algorithm as statements of the form `self.work.FIELD += EXPRESSION`. `countable` takes
them out of the class and keeps them in a subclass of it, which `counting` hands out:

    tree = RbTree()              # does not count; its `work` stays zero
    tree = counting(RbTree)()    # counts
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any, TypeVar, cast

__all__ = ["Memory", "Work", "countable", "counting"]

C = TypeVar("C", bound=type[Any])
_COUNTING: dict[type[Any], type[Any]] = {}


@dataclass(slots=True)
class Work:
    """Steps since the index was made, or since `clear`."""

    node_visits: int = 0
    """Nodes whose fields were read on the way down or along; not those that only rebalancing looked at."""
    compares: int = 0
    """Comparisons of keys."""
    slots: int = 0
    """Slots of nodes that were looked at for being used."""
    moves: int = 0
    """Slots that were written to make room, to close a gap, or in a copy."""
    rotations: int = 0
    allocations: int = 0
    """Nodes taken from the allocator. A node embedded in its entry is none."""
    frees: int = 0
    """Nodes given back to the allocator."""

    def clear(self) -> None:
        """Begin again at zero."""
        for name in self.__slots__:
            setattr(self, name, 0)


@dataclass(frozen=True, slots=True)
class Memory:
    """What an index occupies besides its entries, on x86-64 Linux 2.6.22."""

    nodes: int
    node_bytes: int
    """The size of one node (`sizeof`), in bytes."""
    root_bytes: int
    """The size of the root structure, in bytes."""
    slots_used: int
    slots_free: int

    @property
    def total_bytes(self) -> int:
        """Nodes and root, in bytes, without what the allocator adds."""
        return self.nodes * self.node_bytes + self.root_bytes


def countable(cls: C) -> C:
    """Class decorator: take counting out of `cls`, and keep it for `counting(cls)`.

    What is counted may only read: it is not evaluated when counting is off. For that reason a counted class
    must not use `super()` in a method that counts.
    """
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    counted: dict[str, Any] = {}
    for definition in body.body:
        if isinstance(definition, ast.FunctionDef) and any(map(_counts, ast.walk(definition))):
            original = cls.__dict__[definition.name]
            counted[definition.name] = original
            setattr(cls, definition.name, _without_counting(original))
    namespace = {"__slots__": (), "__doc__": f"{cls.__name__} that counts.", "__module__": cls.__module__}
    _COUNTING[cls] = type(f"Counting{cls.__name__}", (cls,), namespace | counted)
    return cls


def counting(cls: C) -> C:
    """Return the subclass of the countable class `cls` that counts its work; KeyError for other classes."""
    return cast("C", _COUNTING[cls])


def _without_counting(function: FunctionType) -> Callable[..., Any]:
    """Compile `function` again, without the statements that count, under its own lines of its own file."""
    source, first_line = inspect.getsourcelines(function)
    module = ast.parse(textwrap.dedent("".join(source)))
    ast.increment_lineno(module, first_line - 1)
    _StripCounting().visit(module)
    found: dict[str, Any] = {}
    exec(compile(module, function.__code__.co_filename, "exec"), function.__globals__, found)
    stripped: FunctionType = found[function.__name__]
    stripped.__qualname__ = function.__qualname__
    return stripped


class _StripCounting(ast.NodeTransformer):
    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST | None:
        return None if _counts(node) else node


def _counts(node: ast.AST) -> bool:
    """Tell whether `node` is a statement `self.work.FIELD += ...`."""
    return isinstance(node, ast.AugAssign) and ast.unparse(node.target).startswith("self.work.")
