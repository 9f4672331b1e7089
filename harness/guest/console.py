# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's lines among what a guest's console shows."""

from __future__ import annotations

import re

__all__ = ["kernel_lines"]

_LINE = re.compile(r"\[ *\d+\.\d{6}\](\[[^\]]*\])? .*")
"""`[   12.345678] text`, with CONFIG_PRINTK_CALLER `[   12.345678][  T123] text` (print_time, printk.c)."""


def kernel_lines(console: str) -> list[str]:
    """Return the messages of the kernel, in order; other programs' output is left out.

    >>> kernel_lines("Traceback\\n[    1.000000] a: b\\n[    1.000001] c")
    ['[    1.000000] a: b', '[    1.000001] c']
    """
    return [line for line in console.splitlines() if _LINE.fullmatch(line)]
