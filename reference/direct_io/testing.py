# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases by number, for tests and benchmarks."""

from __future__ import annotations

import ast
import random
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from reference.direct_io.generate import generate
from reference.direct_io.synthetic import Case

__all__ = ["Branches", "case_of"]


def case_of(number: int) -> Case:
    """Return the case of this number, the same each time."""
    return generate(random.Random(f"direct I/O {number}"))


class Branches:
    """Which ways the `if`s, `while`s and `for`s of some modules went."""

    def __init__(self, modules: Iterable[ModuleType]) -> None:
        self._of: dict[str, dict[int, tuple[int, range, range]]] = {}
        self.missing: set[str] = set()
        """`file:line yes` or `no` for each way that was not taken."""
        for module in modules:
            path = str(module.__file__)
            tests = self._of.setdefault(path, {})
            for line, test, body in _tests(Path(path).read_text()):
                tests.update((at, (line, test, body)) for at in test)
                self.missing |= {f"{Path(path).name}:{line} {way}" for way in ("yes", "no")}

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch what runs meanwhile."""
        before = sys.gettrace()
        sys.settrace(self._call)
        try:
            yield
        finally:
            sys.settrace(before)

    def _call(self, frame: FrameType, _event: str, _arg: Any) -> Any:
        tests = self._of.get(frame.f_code.co_filename)
        if tests is None:
            return None
        name = Path(frame.f_code.co_filename).name
        last = frame.f_lineno

        def line(frame: FrameType, event: str, _arg: Any) -> Any:
            nonlocal last
            if event in ("line", "return"):
                found = tests.get(last)
                now = frame.f_lineno
                if found is not None and (now not in found[1] or event == "return"):
                    self.missing.discard(f"{name}:{found[0]} {'yes' if now in found[2] else 'no'}")
                last = now
            return line

        return line


def _tests(source: str) -> Iterator[tuple[int, range, range]]:
    """Yield for each branch its line, the lines of its test and those of what follows if it is true."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.For):
            test: ast.expr = node.iter
        elif isinstance(node, ast.If | ast.While):
            test = node.test
        else:
            continue
        if isinstance(test, ast.Constant) or ast.unparse(test) == "TYPE_CHECKING":
            continue
        first, last = node.body[0], node.body[-1]
        lines = range(node.lineno, (test.end_lineno or node.lineno) + 1)
        yield node.lineno, lines, range(first.lineno, (last.end_lineno or first.lineno) + 1)
