# SPDX-License-Identifier: GPL-2.0-or-later
"""The model against what the kernel's own code did.

The digests were taken from the C: 6.12.117's fs/btrfs/extent-io-tree.c and tools/lib/rbtree.c, compiled for
user space with a counter as allocator, and the same file with the two later changes made to it. They cover
what each operation returned, how often it took the lock, what it freed in which order, and every state with
its identity.
"""

from __future__ import annotations

import random
import zlib

import pytest

from reference.extent_state.behaviour import Behaviour
from reference.extent_state.bits import LINUX_6_18
from reference.extent_state.testing import KernelCalls, Operation, random_operations
from reference.extent_state.tree import ExtentIoTree


def record(behaviour: Behaviour) -> int:
    rng = random.Random(18)
    tree = ExtentIoTree(LINUX_6_18, behaviour)
    calls = KernelCalls(tree)
    digest = 0
    for pages in (8, 40, 400):
        for operation in [*random_operations(rng, 1500, pages, extremes=True), Operation("release")]:
            did = calls.apply(operation)
            freed = [*did.erased, *did.unused]
            line = f"{did.failed_start} {did.sections} {freed} {tree.states()}"
            digest = zlib.crc32(line.encode(), digest)
    return digest


@pytest.mark.parametrize(
    ("behaviour", "digest"),
    [
        (Behaviour.searching_again, 0xE46CB6B4),
        (Behaviour.mainline, 0xE11A2011),
        (Behaviour.trimming, 0x31B08F1C),
    ],
)
def test_equal_to_the_compiled_kernel(behaviour: Behaviour, digest: int) -> None:
    assert record(behaviour) == digest
