# SPDX-License-Identifier: GPL-2.0-or-later
"""The model against what the kernel's own code did.

The digests were taken from the C: fs/btrfs/extent-io-tree.c (5.10: extent_io.c) of Debian's 5.10.262,
6.1.192, 6.12.117 and 7.2.13, and 6.12's file with the changes up to 6.18 made to it, compiled for user space
with tools/lib/rbtree.c and a counter as allocator. They cover what each operation returned, how often it took
the lock, what it freed in which order, and every state with its identity.
"""

from __future__ import annotations

import random
import zlib

import pytest

from reference.extent_state.behaviour import Behaviour
from reference.extent_state.testing import (
    BEHAVIOURS,
    LAYOUTS,
    KernelCalls,
    Operation,
    random_operations,
    translated,
)
from reference.extent_state.tree import ExtentIoTree

DIGESTS = {
    "linux_5_10": 0xEC26BF60,
    "linux_6_1": 0x115B8536,
    "linux_6_12": 0xC1074F0C,
    "linux_6_18": 0xE11A2011,
    "linux_7_2": 0x31B08F1C,
}


def record(behaviour: Behaviour) -> int:
    rng = random.Random(18)
    tree = ExtentIoTree(LAYOUTS[behaviour], behaviour)
    calls = KernelCalls(tree)
    digest = 0
    for pages in (8, 40, 400):
        operations = [*random_operations(rng, 1500, pages, extremes=True), Operation("release")]
        for operation in translated(operations, tree.bits):
            did = calls.apply(operation)
            freed = [*did.erased, *did.unused]
            line = f"{did.failed_start} {did.sections} {freed} {tree.states()}"
            digest = zlib.crc32(line.encode(), digest)
    return digest


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: behaviour.name)
def test_equal_to_the_compiled_kernel(behaviour: Behaviour) -> None:
    assert record(behaviour) == DIGESTS[behaviour.name]
