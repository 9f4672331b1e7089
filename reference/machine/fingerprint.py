# SPDX-License-Identifier: GPL-2.0-or-later
"""A digest of all that a machine's future depends on: tasks, where they are, and every object they can reach.

Objects are numbered in the order in which they are met, so that two executions that came to the same state
have the same digest though no object is the same. A class can offer something to look at in its place, by a
method `__fingerprint__`: what must be left out is what grows and decides nothing, such as counters.

Module variables are not reached: modelled code has none that change. Code is known by its address, which is
the same in all executions of one process.
"""

from __future__ import annotations

import gc
import marshal
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from functools import partial
from hashlib import blake2b
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FrameType,
    FunctionType,
    GeneratorType,
    MethodType,
    ModuleType,
)
from typing import Any

__all__ = ["FingerprintError", "fingerprint"]

_ATOMS = frozenset((int, str, float, bool, complex, type(None)))
_CONTENT = (int, str, float, bytes, bytearray, list, tuple, deque, dict, set, frozenset)
_EMPTY: dict[int, int] = {}
_VIEWS = tuple(type(view) for view in (_EMPTY.keys(), _EMPTY.values(), _EMPTY.items()))
_ITERATORS = tuple(
    type(iterator)
    for iterator in (
        *(iter([0]), iter((0,)), iter(_EMPTY), iter(_EMPTY.values()), iter(_EMPTY.items())),
        *(iter(range(1)), iter(range(1 << 70)), iter("a"), iter("\N{EURO SIGN}"), iter(b"a")),
        *(reversed([0]), enumerate([0]), zip([0], strict=True), map(int, [0])),
    )
)
"""What a `for` keeps on a generator's stack; __reduce__ tells where it is without moving it."""

Out = list[object]
Seer = Callable[[Out, Any], Sequence[object]]
"""Writes down what is in an object and returns the objects that it refers to."""


class FingerprintError(TypeError):
    """An object's state cannot be told, so states cannot be compared."""


def fingerprint(root: object) -> bytes:
    """Return 16 bytes that are equal for equal states (and, but for a chance of 2^-128, only for those).

    >>> class Page:
    ...     def __init__(self, index): self.index = index
    >>> fingerprint([Page(1), Page(2)]) == fingerprint([Page(1), Page(2)])
    True
    >>> page = Page(1)
    >>> fingerprint([page, page]) == fingerprint([Page(1), Page(1)])      # one page is not two
    False
    """
    out: Out = []
    numbers: dict[int, int] = {}
    # Objects are kept, because a new one could otherwise get the address of one that was seen.
    kept: list[object] = []
    todo: list[object] = [root]
    while todo:
        obj = todo.pop()
        kind = type(obj)
        if kind in _ATOMS:
            out.append(obj)
            continue
        number = numbers.get(id(obj))
        if number is not None:
            out += (b"again", number)
            continue
        numbers[id(obj)] = len(kept)
        kept.append(obj)
        name, seer = _KNOWN.get(kind) or _learn(kind)
        out.append(name)
        parts = seer(out, obj)
        out.append(len(parts))
        todo += parts
    # Version 2 has no references, which would depend on reference counts.
    return blake2b(marshal.dumps(out, 2), digest_size=16).digest()


_KNOWN: dict[type, tuple[bytes, Seer]] = {}


def _learn(kind: type) -> tuple[bytes, Seer]:
    known = _KNOWN[kind] = (f"{kind.__module__}.{kind.__qualname__}".encode(), _seer(kind))
    return known


def _seer(kind: type) -> Seer:
    """Return what looks at objects of class `kind`."""
    if hasattr(kind, "__fingerprint__"):
        return lambda _, obj: (obj.__fingerprint__(),)
    if issubclass(kind, _CONTENT) and kind.__dictoffset__ and not issubclass(kind, Enum):
        raise FingerprintError(
            f"a {kind.__qualname__} has both content and attributes: give it __fingerprint__"
        )
    for base, seer in _SEERS:
        if issubclass(kind, base):
            return seer
    if kind is not object and (kind.__reduce__ is not object.__reduce__ or kind.__module__ == "builtins"):
        raise FingerprintError(f"cannot tell the state of a {kind.__module__}.{kind.__qualname__}")
    return partial(_attributes, slots=_slots(kind), has_dict=kind.__dictoffset__ != 0)


def _slots(kind: type) -> list[str]:
    names: list[str] = []
    for base in kind.__mro__:
        slots = base.__dict__.get("__slots__", ())
        names += [slots] if isinstance(slots, str) else slots
    return [name for name in names if name not in ("__dict__", "__weakref__")]


def _attributes(out: Out, obj: object, *, slots: list[str], has_dict: bool) -> Sequence[object]:
    names: list[str] = []
    values: list[object] = []
    # Past the class's own __getattribute__, which may exist to catch those who use freed objects.
    for name in slots:
        with suppress(AttributeError):
            values.append(object.__getattribute__(obj, name))
            names.append(name)
    if has_dict:
        attributes = object.__getattribute__(obj, "__dict__")
        names += attributes
        values += attributes.values()
    out += names
    return values


def _value(out: Out, value: object) -> Sequence[object]:
    out.append(value)
    return ()


def _set(_: Out, obj: set[Any]) -> Sequence[object]:
    if not all(isinstance(item, (int, str)) for item in obj):
        raise FingerprintError("sets of objects have no order: use a list or a dict")
    return sorted(obj, key=lambda item: (isinstance(item, str), item))


def _generator(out: Out, obj: GeneratorType[Any, Any, Any]) -> Sequence[object]:
    frame = obj.gi_frame
    out.append(id(obj.gi_code))
    if frame is None:
        return ()
    variables = frame.f_locals
    out += (frame.f_lasti, *variables)
    # The collector also knows what is on the stack, such as a loop's iterator.
    return [
        value
        for value in gc.get_referents(obj)
        if not isinstance(value, (FrameType, CodeType))
        and value is not variables
        and not (isinstance(value, FunctionType) and value.__code__ is obj.gi_code)
    ]


def _function(out: Out, obj: FunctionType) -> Sequence[object]:
    out.append(id(obj.__code__))
    return (*(obj.__closure__ or ()), obj.__defaults__, obj.__kwdefaults__)


def _cell(_: Out, obj: CellType) -> Sequence[object]:
    try:
        return (obj.cell_contents,)
    except ValueError:
        return ()


def _builtin(out: Out, obj: BuiltinFunctionType) -> Sequence[object]:
    out.append(obj.__qualname__)
    return () if isinstance(obj.__self__, ModuleType) else (obj.__self__,)


def _method(_: Out, obj: MethodType) -> Sequence[object]:
    return (obj.__func__, obj.__self__)


_SEERS: tuple[tuple[Any, Seer], ...] = (
    (Enum, lambda _, obj: (obj.value,)),
    (type, lambda out, obj: _value(out, obj.__qualname__)),
    (ModuleType, lambda out, obj: _value(out, obj.__name__)),
    ((bytes, bytearray), lambda out, obj: _value(out, bytes(obj))),
    (int, lambda out, obj: _value(out, int(obj))),
    (str, lambda out, obj: _value(out, str(obj))),
    (float, lambda out, obj: _value(out, float(obj))),
    ((list, tuple, deque), lambda _, obj: obj),
    (dict, lambda _, obj: (*obj, *obj.values())),
    ((set, frozenset), _set),
    (GeneratorType, _generator),
    (FunctionType, _function),
    (MethodType, _method),
    (BuiltinFunctionType, _builtin),
    (CellType, _cell),
    (partial, lambda _, obj: (obj.func, obj.args, obj.keywords)),
    (_VIEWS, lambda _, obj: tuple(obj)),
    (range, lambda _, obj: (obj.start, obj.stop, obj.step)),
    (_ITERATORS, lambda _, obj: obj.__reduce__()),
)
