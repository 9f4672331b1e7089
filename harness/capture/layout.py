# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether what was read by a layout of our own (`layouts`) is what the kernel itself says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.capture.checkpoints import Checkpoint
from harness.capture.kernel import BtrfsKernel
from harness.capture.records import Kind
from harness.errors import InfrastructureError

__all__ = ["check_layout"]


def check_layout(
    kernel: BtrfsKernel,
    records: NDArray[Any],
    counts: Mapping[str, int],
    checkpoints: Iterable[Checkpoint],
) -> None:
    """Raise InfrastructureError unless the layout of `kernel` was seen to fit.

    `agreed` and `disagreed` of `counts` are sets whose owner, inode, root and file system were found as the
    trace event gives them. Trees of devices are found another way, which no event tells: a mount always sets
    bits in them, so they must be in the `records`. States found in trees must have been allocated.
    """
    agreed, disagreed = counts["agreed"], counts["disagreed"]
    wrong = f"the structures of btrfs are not where layouts/{kernel.layout}.c says"
    if disagreed or not agreed:
        raise InfrastructureError(f"{wrong}: {disagreed} of {agreed + disagreed} trace events tell otherwise")
    sets = records[records["kind"] == Kind.SET]
    if len(sets) and not np.any(sets["owner"] == kernel.owners["IO_TREE_DEVICE_ALLOC_STATE"]):
        raise InfrastructureError(f"{wrong}: no device was seen")
    allocated = records["ptr"][records["kind"] == Kind.ALLOC]
    states = [tree.states for checkpoint in checkpoints for tree in checkpoint.trees]
    if not all(np.isin(s["ptr"], allocated).all() and np.all(s["start"] <= s["end"]) for s in states):
        raise InfrastructureError(f"{wrong}: a tree held what is no state")
