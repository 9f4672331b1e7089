# SPDX-License-Identifier: GPL-2.0-or-later
"""Run fsx on the corrected page cache of 2007: `python -m benchmarks.page_cache_fsx [--operations N]`.

In pieces, each a new file: both versions of the trees, blocks of 4, 1 and 2 KiB, bios done in random order.
Each byte read is compared with the naive model; invariants are checked with each fsync. Exit code 1 if a
piece fails.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Sequence
from itertools import islice

from benchmarks.common import arguments, run, show_machine
from reference.extent_map import Behaviour
from reference.extent_map.page_file import PageCacheFile, Setting
from reference.fsx import ByteFile, Kind, Mismatch, Mix, Operation, check, generate, listing
from reference.machine import Interrupt

__all__ = ["main"]

PIECE = 10_000
"""Operations on one file."""
WEIGHTS = dict.fromkeys(PageCacheFile.KINDS, 8) | {Kind.WRITE: 14, Kind.FSYNC: 4, Kind.REMOUNT: 1}
MIX = Mix(weights=WEIGHTS, max_size=32 << 10, max_length=8 << 10)
TREES = (Behaviour.corrected_rbtree, Behaviour.corrected_radix)
BLOCK_SIZES = (4096, 1024, 2048)


class RandomFile(PageCacheFile):
    """One whose bios are done at random times."""

    def __init__(self, setting: Setting, rng: random.Random) -> None:
        super().__init__(setting, self._any)
        self._rng = rng

    def execute(self, operation: Operation) -> bytes | int:
        """Do it, with bios done soon or late."""
        self.eager = self._rng.random() < 0.4
        return super().execute(operation)

    def _any(self, pending: Sequence[Interrupt]) -> int:
        return self._rng.randrange(len(pending))


def piece(number: int, operations: int) -> Mismatch | None:
    """Run one piece and return the first difference."""
    rng = random.Random(number)
    setting = Setting(TREES[number % 2], block_size=BLOCK_SIZES[number // 2 % 3])
    model = ByteFile()
    return check(RandomFile(setting, rng), model, islice(generate(MIX, rng, model), operations))


def main() -> None:
    """Run the pieces and say how fast it went."""
    args = arguments(
        __doc__ or "", operations=(60_000, "operations in all"), seed=(0, "number of the first piece")
    )
    show_machine()
    begin, done = time.perf_counter(), 0
    for number in range(args.seed, args.seed + -(-args.operations // PIECE)):
        difference = piece(number, PIECE)
        if difference is not None:
            print(f"piece {number}: {difference}", *listing(difference.operations), sep="\n")
            sys.exit(1)
        done += PIECE
        print(f"{done} operations, {done / (time.perf_counter() - begin):.0f} a second", flush=True)


if __name__ == "__main__":
    run(main)
