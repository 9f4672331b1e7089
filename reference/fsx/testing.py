# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests of files share: the operations at the edges of what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from reference.fsx.operation import Kind, Operation

__all__ = ["edges"]

MOVING = (Kind.COLLAPSE_RANGE, Kind.INSERT_RANGE, Kind.CLONE, Kind.DEDUPE, Kind.COPY)


def edges(block: int) -> Iterator[list[Operation]]:
    """Yield short sequences: a file that ends at a block or not, and one operation that may be refused.

    Its ranges begin at blocks, and end at, just before and just behind the end of blocks and of the file.
    """
    for size, kind in product((4 * block, 4 * block - 5), MOVING):
        write = Operation(Kind.WRITE, 0, size, seed=1)
        targets = (0,) if kind in (Kind.COLLAPSE_RANGE, Kind.INSERT_RANGE) else range(0, 6 * block, block)
        for offset, to in product(range(0, 6 * block, block), targets):
            ends = {size - 1, size, size + 1, offset + block, offset + 2 * block, offset + block + 1}
            for end in sorted(end for end in ends if end > offset):
                yield [write, Operation(kind, offset, end - offset, to)]
