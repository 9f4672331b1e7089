# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads the kernel's real rbtrees of extent_states, level by level, through a BPF program."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.capture.libbpf import BpfObject
from harness.errors import InfrastructureError

__all__ = ["STATE", "TREE", "TreeWalker"]

# struct batch in extent_io.bpf.c.
BATCH = 64
STATE = np.dtype(
    [
        ("ptr", "<u8"),
        ("left", "<u8"),
        ("right", "<u8"),
        ("start", "<u8"),
        ("end", "<u8"),
        ("bits", "<u4"),
        ("refs", "<u4"),
    ]
)
TREE = np.dtype([("fsid", "<u8"), ("ino", "<u8"), ("root", "<u8"), ("node", "<u8"), ("owner", "<u8")])
_LAYOUT = np.dtype(
    [("count", "<u8"), ("address", "<u8", BATCH), ("states", STATE, BATCH), ("trees", TREE, BATCH)]
)
# A red-black tree of 2^32 nodes is at most 64 deep: more levels than this is a torn read.
_MAX_LEVELS = 70


@dataclass(frozen=True)
class TreeWalker:
    """Reads trees through the `batches` map of a loaded object."""

    bpf: BpfObject
    memory: mmap.mmap

    @classmethod
    def of(cls, bpf: BpfObject) -> TreeWalker:
        """Map the batch area of `bpf`."""
        pages = -(-_LAYOUT.itemsize // mmap.PAGESIZE) * mmap.PAGESIZE
        return cls(bpf, mmap.mmap(bpf.map_fd("batches"), pages, mmap.MAP_SHARED))

    def close(self) -> None:
        """Unmap the batch area."""
        self.memory.close()

    def trees(self, addresses: Sequence[int]) -> NDArray[Any]:
        """Return what stands at each address that was an extent_io_tree, as rows of `TREE`."""
        return self._read(np.array(addresses, np.uint64), "read_trees", "trees", TREE)

    def states(self, node: int) -> NDArray[Any]:
        """Return all states below the rb_node at `node` (0 for an empty tree), by offset, as rows of `STATE`.

        Raises InfrastructureError when the tree changes under the walk so much that it never ends.
        """
        levels = [np.zeros(0, STATE)]
        level = np.array([node] if node else [], np.uint64)
        while level.size:
            if len(levels) > _MAX_LEVELS:
                raise InfrastructureError("a tree changed while it was read")
            rows = self._read(level, "read_states", "states", STATE)
            levels.append(rows)
            below = np.concatenate((rows["left"], rows["right"]))
            level = below[below != 0]
        found = np.concatenate(levels)
        return found[np.argsort(found["start"], kind="stable")]

    def _read(
        self, addresses: NDArray[np.uint64], program: str, field: str, dtype: np.dtype[Any]
    ) -> NDArray[Any]:
        out = np.empty(len(addresses), dtype)
        batch = np.frombuffer(self.memory, _LAYOUT, 1)
        for first in range(0, len(addresses), BATCH):
            part = addresses[first : first + BATCH]
            batch["count"][0] = len(part)
            batch["address"][0, : len(part)] = part
            self.bpf.run(program)
            out[first : first + len(part)] = batch[field][0, : len(part)]
        del batch  # or the mapping could not be closed
        return out
