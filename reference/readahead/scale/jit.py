# SPDX-License-Identifier: GPL-2.0-or-later
"""How functions are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.extending import register_jitable

__all__ = ["compiled", "let_compiled_call"]

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Return `function`, compiled when it is first called (numba, machine code without the interpreter).

    The machine code is kept for other processes where NUMBA_CACHE_DIR names a folder
    (`harness.compiled.keep_compiled` chooses one); elsewhere each process compiles anew. Numba's own choice,
    beside the source, would miss changes of functions that are called from other files.
    """
    keep = bool(getattr(numba.config, "CACHE_DIR"))  # noqa: B009
    try:
        return cast("F", numba.njit(cache=keep)(function))
    except RuntimeError:  # no folder can be written
        return cast("F", numba.njit(function))


def let_compiled_call(*functions: Callable[..., Any]) -> None:
    """Let compiled functions call `functions` of elsewhere, which stay as they are for everybody else."""
    for function in functions:
        register_jitable(function)
