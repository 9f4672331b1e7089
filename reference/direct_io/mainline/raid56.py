# SPDX-License-Identifier: GPL-2.0-or-later
"""How a block of RAID5 or 6 is rebuilt from the rest of its row (fs/btrfs/raid56.c).

For one block the whole row is read, up to 64 KiB of each device, but what is given up. One column of blocks
that has more errors than parities makes all of it fail, wherever the wanted block is.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from typing import NamedTuple

from reference.direct_io.mainline.bios import Bio, BioKind
from reference.direct_io.mainline.file import BLOCK, BadBlock
from reference.ondisk import Chunk, Row, failed_stripes
from reference.readahead.source import Stripe

__all__ = ["BlockState", "Recovery", "raid56_parity_recover"]

BlockState = Callable[[Stripe], BadBlock | None]
"""Says what is wrong with a block of a device that is there."""


class Recovery(NamedTuple):
    """What came of rebuilding a block."""

    reads: list[Bio]
    bad: BadBlock | None
    """What is wrong with what was rebuilt: UNREADABLE if it could not be."""


def raid56_parity_recover(
    chunk: Chunk, row: Row, logical: int, mirror_num: int, present: Container[int], state: BlockState
) -> Recovery:
    """Rebuild the block at `logical`, as it is done for mirror `mirror_num`, 2 or more, of it."""
    column = (logical - chunk.start) % chunk.stripe_len // BLOCK
    given_up = failed_stripes(mirror_num, row.wanted, len(row.stripes))
    columns = chunk.stripe_len // BLOCK
    errors: list[set[int]] = [set() for _ in range(columns)]
    reads: list[Bio] = []
    for number, stripe in enumerate(row.stripes):
        start = stripe.physical - column * BLOCK
        if stripe.devid not in present:
            for met in errors:
                met.add(number)
            continue
        if number in given_up:
            errors[column].add(number)
        for begin, end in _runs(columns, column if number in given_up else None):
            reads.append(Bio(BioKind.REPAIR, stripe.devid, start + begin * BLOCK, (end - begin) * BLOCK))
            blocks = [Stripe(stripe.devid, start + n * BLOCK) for n in range(begin, end)]
            if any(state(block) is BadBlock.UNREADABLE for block in blocks):
                for met in errors[begin:end]:
                    met.add(number)
    if any(len(met) > chunk.parities for met in errors):
        return Recovery(reads, BadBlock.UNREADABLE)
    used = _used(errors[column], chunk.data_stripes, len(row.stripes))
    corrupt = any(state(row.stripes[number]) is not None for number in used)
    return Recovery(reads, BadBlock.CORRUPT if corrupt else None)


def _runs(columns: int, without: int | None) -> Iterator[tuple[int, int]]:
    """Yield which columns are read by one bio each: all, or those on both sides of one."""
    if without is None:
        yield 0, columns
        return
    if without:
        yield 0, without
    if without + 1 < columns:
        yield without + 1, columns


def _used(errors: set[int], data_stripes: int, total: int) -> list[int]:
    """Return what a data stripe is rebuilt from (`recover_vertical`): Q only where P does not do."""
    q = data_stripes + 1
    with_p = len(errors - {q}) == 1
    return [n for n in range(total) if n not in errors and not (n == q and with_p)]
