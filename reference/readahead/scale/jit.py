# SPDX-License-Identifier: GPL-2.0-or-later
"""How functions are compiled (numba: to machine code, when they are first called)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.extending import register_jitable

__all__ = ["compiled", "compiled_part", "let_compiled_call", "whole"]

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Return `function`, compiled.

    The machine code is kept for other processes where NUMBA_CACHE_DIR names a folder
    (`harness.compiled.keep_compiled` chooses one); elsewhere each process compiles anew. Numba's own choice,
    beside the source, would miss changes of functions that are called from other files.
    """
    keep = bool(getattr(numba.config, "CACHE_DIR"))  # noqa: B009
    try:
        return cast("F", numba.njit(cache=keep)(function))
    except RuntimeError:  # no folder can be written
        return cast("F", numba.njit(function))


def compiled_part(function: F) -> F:
    """Return `function`, compiled to be called by compiled functions only; it makes no arrays.

    So nothing counts references, which would take longer than what is to be done.
    """
    options: dict[str, Any] = {"_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return cast("F", numba.njit(**options)(function))


def let_compiled_call(*functions: Callable[..., Any]) -> None:
    """Let compiled functions call `functions` of elsewhere, which stay as they are for everybody else."""
    for function in functions:
        register_jitable(_nrt=False)(function)


@compiled_part
def whole(number: int) -> int:
    """Return a number of an array of small ones as one of 64 bits.

    Functions are compiled once for each kind of number that they are called with, which takes its time.
    """
    return number + np.int64(0)  # type: ignore[return-value]
