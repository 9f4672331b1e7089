# SPDX-License-Identifier: GPL-2.0-or-later
"""One copy of a block, read from its device and looked at as the kernel does."""

from __future__ import annotations

import time
from typing import NamedTuple

from harness.metadata import FileSystem
from harness.readahead.reads import BlockRead
from reference.ondisk import BlockError, check_block
from reference.readahead import Node, Stripe

__all__ = ["Copy", "read_copy"]


class Copy(NamedTuple):
    """What came of it."""

    read: BlockRead
    node: Node | None
    """None if there was an error."""


def read_copy(
    filesystem: FileSystem, stripe: Stripe, logical: int, mirror_num: int, submitted_ns: int
) -> Copy:
    """Read copy `mirror_num`, at `stripe`, of the block at `logical`; errors are in what it returns."""
    begin_ns = end_ns = time.monotonic_ns()
    node, err = None, 0
    try:
        block = filesystem.copies.read(logical, mirror_num)
        end_ns = time.monotonic_ns()
        node = check_block(block, logical, filesystem.rules)
    except BlockError as error:
        err = -error.errno
        end_ns = max(end_ns, time.monotonic_ns())
    read = BlockRead(stripe.devid, stripe.physical, logical, mirror_num, submitted_ns, begin_ns, end_ns, err)
    return Copy(read, node)
