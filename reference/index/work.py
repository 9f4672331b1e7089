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
import sys
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
    stripped = _without_counting(cls)
    counted = {name: cls.__dict__[name] for name in stripped}
    extra = {"__slots__": (), "__doc__": f"{cls.__name__} that counts.", "__module__": cls.__module__}
    _COUNTING[cls] = type(f"Counting{cls.__name__}", (cls,), counted | extra)
    for name, function in stripped.items():
        setattr(cls, name, function)
    return cls


def counting(cls: C) -> C:
    """Return the subclass of the countable class `cls` that counts its work; KeyError for other classes."""
    return cast("C", _COUNTING[cls])


def _without_counting(cls: type[Any]) -> dict[str, FunctionType]:
    """Compile the methods of `cls` that count once more without that, as the same lines of the same file."""
    home = sys.modules[cls.__module__]
    module = ast.parse(inspect.getsource(home))
    body = next(
        node.body for node in module.body if isinstance(node, ast.ClassDef) and node.name == cls.__name__
    )
    module.body = [
        _StripCounting().visit(function)
        for function in body
        if isinstance(function, ast.FunctionDef) and any(map(_counts, ast.walk(function)))
    ]
    stripped: dict[str, Any] = {}
    exec(compile(module, inspect.getfile(cls), "exec"), vars(home), stripped)
    for function in stripped.values():
        function.__qualname__ = f"{cls.__name__}.{function.__name__}"
    return stripped


class _StripCounting(ast.NodeTransformer):
    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST | None:
        return None if _counts(node) else node


def _counts(node: ast.AST) -> bool:
    """Tell whether `node` is a statement `self.work.FIELD += ...`."""
    match node:
        case ast.AugAssign(target=ast.Attribute(value=ast.Attribute(value=ast.Name("self"), attr="work"))):
            return True
    return False
