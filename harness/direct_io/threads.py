# SPDX-License-Identifier: GPL-2.0-or-later
"""Threads that make reads: which copy of a block is read depends on the number of who asks for it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Self

__all__ = ["KINDS", "Threads"]

THREADS = 7
"""Enough that every copy of every profile is some thread's."""
KINDS = 12
"""Threads whose numbers leave one rest read the same of 2, 3 and 4 copies."""


class Threads:
    """Threads that work one after the other; they end with the context."""

    def __init__(self) -> None:
        self._made = ExitStack()
        self._turns = [self._thread() for _ in range(THREADS)]
        self._kinds: dict[int, ThreadPoolExecutor] = {}

    def turn(self, number: int) -> ThreadPoolExecutor:
        """Return the thread whose turn it is at `number`."""
        return self._turns[number % THREADS]

    def like(self, tid: int) -> ThreadPoolExecutor:
        """Return a thread whose number leaves the same rest, divided by `KINDS`, as `tid`."""
        while tid % KINDS not in self._kinds:
            thread = self._thread()
            kind = thread.submit(threading.get_native_id).result() % KINDS
            self._kinds.setdefault(kind, thread)
        return self._kinds[tid % KINDS]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._made.close()

    def _thread(self) -> ThreadPoolExecutor:
        return self._made.enter_context(ThreadPoolExecutor(1, "reads"))
