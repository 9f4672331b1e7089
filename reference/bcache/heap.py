# SPDX-License-Identifier: GPL-2.0-or-later
"""A heap as util.h has it: which of equal elements comes out first depends on how it is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Heap"]

T = TypeVar("T")
Cmp = Callable[[T, T], bool]


class Heap(Generic[T]):
    """`DECLARE_HEAP`: an element goes below another when `cmp(it, the other)`.

    >>> heap = Heap(8, [])
    >>> for n in (3, 1, 2):
    ...     heap.add(n, lambda a, b: a > b)
    >>> [heap.pop(lambda a, b: a > b) for _ in range(3)]
    [1, 2, 3]
    """

    def __init__(self, size: int, data: list[T]) -> None:
        self.size = size
        self.data = data

    @property
    def full(self) -> bool:
        """`heap_full`."""
        return len(self.data) >= self.size

    def sift(self, i: int, cmp: Cmp[T]) -> None:
        """`heap_sift`: let element `i` sink."""
        data = self.data
        while (child := 2 * i + 1) < len(data):
            if child + 1 < len(data) and cmp(data[child], data[child + 1]):
                child += 1
            if cmp(data[child], data[i]):
                return
            data[child], data[i] = data[i], data[child]
            i = child

    def _rise(self, i: int, cmp: Cmp[T]) -> None:
        """`heap_sift_down`."""
        data = self.data
        while i:
            parent = (i - 1) // 2
            if cmp(data[i], data[parent]):
                return
            data[i], data[parent] = data[parent], data[i]
            i = parent

    def add(self, element: T, cmp: Cmp[T]) -> None:
        """`heap_add`; it must not be full."""
        assert not self.full
        self.data.append(element)
        i = len(self.data) - 1
        self._rise(i, cmp)
        self.sift(i, cmp)

    def pop(self, cmp: Cmp[T]) -> T | None:
        """`heap_pop`; None when it is empty."""
        if not self.data:
            return None
        top, last = self.data[0], self.data.pop()
        if self.data:
            self.data[0] = last
            self.sift(0, cmp)
        return top
