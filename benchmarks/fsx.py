# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure how fast files are checked in memory: `python -m benchmarks.fsx [--operations N]`.

Each row is a mix of operations: making them, with the naive model doing them, and the whole check of a second
naive model, which is what a model under test costs besides itself. CPU time, best of three runs.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from itertools import islice

from benchmarks.common import show_machine
from reference.fsx import ByteFile, Kind, Mix, check, generate

__all__ = ["main"]

PIECE = 10_000
"""Operations of one file."""

SIMPLE = dict.fromkeys((Kind.READ, Kind.WRITE, Kind.MAP_READ, Kind.MAP_WRITE, Kind.TRUNCATE, Kind.FSYNC), 1)
MIXES = {
    "simple, up to 4 KiB of 64 KiB": Mix(SIMPLE, max_size=64 << 10, max_length=4 << 10),
    "simple, up to 64 KiB of 256 KiB": Mix(SIMPLE),
    "all, up to 4 KiB of 64 KiB": Mix(max_size=64 << 10, max_length=4 << 10),
    "all, up to 64 KiB of 256 KiB": Mix(),
}


def model_alone(mix: Mix, seed: int) -> None:
    """Make the operations of one file and do them to the model."""
    model = ByteFile()
    execute = model.execute
    for operation in islice(generate(mix, random.Random(seed), model), PIECE):
        execute(operation)


def whole_check(mix: Mix, seed: int) -> None:
    """Check one file, which is a naive model as well."""
    model = ByteFile()
    mismatch = check(ByteFile(), model, islice(generate(mix, random.Random(seed), model), PIECE))
    if mismatch:
        raise AssertionError(mismatch)


def rate(run: Callable[[Mix, int], None], mix: Mix, pieces: int) -> float:
    """Return operations per second of CPU time, the best of three runs."""
    spent = []
    for _ in range(3):
        begun = time.process_time()
        for seed in range(pieces):
            run(mix, seed)
        spent.append(time.process_time() - begun)
    return pieces * PIECE / min(spent)


def main() -> None:
    """Print one line for each mix."""
    parser = argparse.ArgumentParser(description="Speed of the naive model of a file and its generator.")
    parser.add_argument("--operations", type=int, default=100_000, help="of each run (default 100000)")
    pieces = max(1, parser.parse_args().operations // PIECE)
    show_machine()
    print(f"{'mix':<34} {'operations/s':>13} {'checked/s':>11}")
    for name, mix in MIXES.items():
        print(f"{name:<34} {rate(model_alone, mix, pieces):>13,.0f} {rate(whole_check, mix, pieces):>11,.0f}")


if __name__ == "__main__":
    main()
