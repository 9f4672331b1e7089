# SPDX-License-Identifier: GPL-2.0-or-later
"""The import rule of docs/architecture.md, by what the files say (no file is run)."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import PurePosixPath

__all__ = ["LAYERS", "complaints", "imported"]

LAYERS = ("reference", "loopdevs", "harness", "reports", "suites")

ALLOWED: dict[str, tuple[str, ...]] = {
    "reference": ("reference",),
    "loopdevs": ("loopdevs", "reference.disks"),
    "harness": ("harness", "reference", "loopdevs"),
    "reports": ("reports", "harness.bundle", "harness.claims", "harness.verdicts", "harness.errors"),
    "suites": LAYERS,
    "harness.cli": LAYERS,
}
"""What of ours each layer may import; the longest prefix decides."""

ENTRY = PurePosixPath("harness/__main__.py")
"""Part of the command line, though Python wants it beside the package."""

MODEL_PACKAGES = {"crc32c", "numba", "numpy", "sortedcontainers", "xxhash"}
"""What models may import besides the standard library."""

IMPURE = {
    *("asyncio", "ctypes", "datetime", "io", "mmap", "multiprocessing", "os", "pathlib", "random"),
    *("secrets", "shutil", "signal", "socket", "subprocess", "tempfile", "threading", "time", "uuid"),
}
"""Ways to I/O, clock and randomness in the standard library: not for models."""


def complaints(path: PurePosixPath, source: str) -> list[str]:
    """Return a line for each import in the file `path` (below the root) that its layer may not make."""
    layer = _layer(path)
    if layer is None:
        return []
    modules = imported(path, source)
    wrong = [m for m in modules if m.split(".")[0] in LAYERS and not _within(m, ALLOWED[layer])]
    if layer == "reference" and not _is_test(path):
        wrong += [m for m in modules if _impure(m.split(".")[0])]
    return [f"{path}: {layer} may not import {module}" for module in wrong]


def imported(path: PurePosixPath, source: str) -> list[str]:
    """Return the modules that a file imports, anywhere in it; `from a import b` gives `a.b`.

    >>> imported(PurePosixPath("harness/x.py"), "import os.path\\ndef f():\\n    from . import bundle")
    ['os.path', 'harness.bundle']
    """
    return [module for node in ast.walk(ast.parse(source)) for module in _of(node, path)]


def _of(node: ast.AST, path: PurePosixPath) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = list(path.parts[: -node.level]) if node.level else []
        origin = ".".join([*base, *([node.module] if node.module else [])])
        yield from (f"{origin}.{alias.name}" for alias in node.names)


def _layer(path: PurePosixPath) -> str | None:
    if path == ENTRY or path.parts[:2] == ("harness", "cli"):
        return "harness.cli"
    return path.parts[0] if path.parts[0] in LAYERS else None


def _within(module: str, allowed: tuple[str, ...]) -> bool:
    # `harness` allows all of harness but its command line.
    if _starts(module, "harness.cli") and "suites" not in allowed:
        return False
    return any(_starts(module, prefix) for prefix in allowed)


def _starts(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(prefix + ".")


def _impure(top: str) -> bool:
    return top in IMPURE or not (top in sys.stdlib_module_names or top in MODEL_PACKAGES or top in LAYERS)


def _is_test(path: PurePosixPath) -> bool:
    return path.name.startswith("test_") or path.name in ("conftest.py", "testing.py")
