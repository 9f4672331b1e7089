# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads of metadata blocks that were made, and how long all of them took; kept in bundles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from harness.bundle import Bundle, BundleWriter
from harness.errors import UserError
from reference.readahead import Key, Root

__all__ = ["READS_FILE", "RUNS_FILE", "BlockRead", "Run", "Wanted", "load_runs", "save_runs"]

READS_FILE = "readahead_reads.npz"
RUNS_FILE = "readahead_runs.json"


class BlockRead(NamedTuple):
    """A read of a copy of a block. Times are of a monotonic clock, ns."""

    devid: int
    physical: int
    """Where on the device, bytes."""
    logical: int
    mirror_num: int
    """Which copy, from 1."""
    submitted_ns: int
    """When it was decided to read it."""
    begin_ns: int
    """When the device was asked."""
    end_ns: int
    """When the device had answered."""
    err: int
    """0, or negative: an error of the device, or of the block that came."""


class Wanted(NamedTuple):
    """A tree's keys [`key_start`, `key_end`), to be read from its root on."""

    tree: int
    """Object id of the tree: 2 is the extent tree."""
    bytenr: int
    """Logical address of the root."""
    generation: int
    key_start: Key
    key_end: Key

    @property
    def root(self) -> Root:
        """The root, for `btrfs_reada_add`."""
        return Root(self.bytenr, self.generation)


@dataclass(frozen=True)
class Run:
    """One way to read trees, done once."""

    method: str
    """Such as "walk" or "readahead seed_2011"."""
    wanted: tuple[Wanted, ...]
    depth: int
    """How many reads a device was given at a time; others waited, first come, first served."""
    wall_ns: int
    """How long it took until all was done."""
    finished_ns: tuple[int, ...]
    """When each of `wanted` was done, from the beginning on."""
    reads: tuple[BlockRead, ...]
    """In the order in which they were submitted."""

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.wall_ns / 1e9


def save_runs(writer: BundleWriter, runs: Sequence[Run]) -> None:
    """Put runs into a bundle."""
    rows = [(number, *read) for number, run in enumerate(runs) for read in run.reads]
    columns = list(zip(*rows, strict=True)) or [()] * (len(BlockRead._fields) + 1)
    names = ("run", *BlockRead._fields)
    writer.add_table(READS_FILE, {n: np.array(c, np.int64) for n, c in zip(names, columns, strict=True)})
    writer.add_json(RUNS_FILE, [_to_json(run) for run in runs])


def load_runs(bundle: Bundle) -> list[Run]:
    """Return what `save_runs` put there; UserError if it is something else."""
    try:
        told = bundle.json(RUNS_FILE)
        reads: list[list[BlockRead]] = [[] for _ in told]
        table = bundle.table(READS_FILE)
        columns = (table[name].tolist() for name in ("run", *BlockRead._fields))
        for number, *row in zip(*columns, strict=True):
            reads[number].append(BlockRead(*row))
        return [_from_json(run, rows) for run, rows in zip(told, reads, strict=True)]
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{bundle.path}: {RUNS_FILE} or {READS_FILE} is no record of reads ({error!r}): "
            "record the case again"
        ) from None


def _to_json(run: Run) -> dict[str, Any]:
    return {
        "method": run.method,
        "wanted": [[*one[:3], list(one.key_start), list(one.key_end)] for one in run.wanted],
        "depth": run.depth,
        "wall_ns": run.wall_ns,
        "finished_ns": list(run.finished_ns),
    }


def _from_json(told: dict[str, Any], reads: Iterable[BlockRead]) -> Run:
    wanted = tuple(
        Wanted(tree, bytenr, generation, Key(*start), Key(*end))
        for tree, bytenr, generation, start, end in told["wanted"]
    )
    finished = tuple(int(time_ns) for time_ns in told["finished_ns"])
    return Run(str(told["method"]), wanted, int(told["depth"]), int(told["wall_ns"]), finished, tuple(reads))
