# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of the model share: random operations, and applying them with the kernel's allocations."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from reference.extent_state.behaviour import Behaviour
from reference.extent_state.bits import LINUX_6_18, BitLayout
from reference.extent_state.state import U64_MAX
from reference.extent_state.tree import DONE, FAILED, ExtentIoTree

__all__ = [
    "BEHAVIOURS",
    "BITS",
    "FOUND",
    "LAYOUTS",
    "PAGE",
    "KernelCalls",
    "Operation",
    "Outcome",
    "Rows",
    "pages",
    "random_operations",
    "rows",
    "section",
    "translated",
    "tree_of",
]

BEHAVIOURS = (
    Behaviour.linux_5_10,
    Behaviour.linux_6_1,
    Behaviour.linux_6_12,
    Behaviour.linux_6_18,
    Behaviour.linux_7_2,
)

_FOUND_6_18 = (
    "btrfs_free_extent_state",
    "btrfs_lock_extent_bits",
    "btrfs_test_range_bit_exists",
    "btrfs_clear_extent_bit_changeset",
)
FOUND = {
    Behaviour.linux_5_10: ("free_extent_state",),
    Behaviour.linux_6_1: ("free_extent_state", "lock_extent"),
    Behaviour.linux_6_12: ("free_extent_state", "__lock_extent", "test_range_bit_exists"),
    Behaviour.linux_6_18: _FOUND_6_18,
    Behaviour.linux_7_2: (*_FOUND_6_18, "btrfs_reclaim_block_groups"),
}
"""The functions that tell, in Debian's 5.10.262 (its btrfs.ko), and 6.1.192, 6.12.117, 7.2.13 and our 6.18.44
(their /proc/kallsyms)."""


def _layout(names: str, *, first: int = 0) -> dict[str, int]:
    return {name: 1 << bit for bit, name in enumerate(names.split(), first)}


_LINUX_5_10 = _layout(
    "DIRTY UPTODATE LOCKED NEW DELALLOC DEFRAG BOUNDARY NODATASUM CLEAR_META_RESV NEED_WAIT DAMAGED "
    "NORESERVE QGROUP_RESERVED CLEAR_DATA_RESV DELALLOC_NEW"
)
LAYOUTS = {
    # Its argument `delete` is a bit of the record's own.
    Behaviour.linux_5_10: BitLayout.from_names(_LINUX_5_10 | _layout("CLEAR_ALL_BITS", first=31)),
    # DAMAGED is gone.
    Behaviour.linux_6_1: BitLayout.from_names(
        {name: bit for name, bit in _LINUX_5_10.items() if name != "DAMAGED"}
        | _layout("ADD_INODE_BYTES CLEAR_ALL_BITS", first=15)
    ),
    Behaviour.linux_6_12: BitLayout.from_names(
        _layout(
            "DIRTY UPTODATE LOCKED DIO_LOCKED NEW DELALLOC DEFRAG BOUNDARY NODATASUM CLEAR_META_RESV "
            "NEED_WAIT NORESERVE QGROUP_RESERVED CLEAR_DATA_RESV DELALLOC_NEW ADD_INODE_BYTES "
            "CLEAR_ALL_BITS NOWAIT"
        )
    ),
    Behaviour.linux_6_18: LINUX_6_18,
    Behaviour.linux_7_2: LINUX_6_18,
}
"""The bits of each kernel (fs/btrfs/extent-io-tree.h)."""

BITS = LINUX_6_18.names
PAGE = 4096
Rows = list[tuple[int, int, int, int]]
_OFTEN = (BITS["DIRTY"], BITS["DELALLOC"], BITS["DEFRAG"], BITS["LOCKED"])
_SELDOM = (BITS["BOUNDARY"], BITS["NORESERVE"], BITS["DIO_LOCKED"], BITS["NEED_WAIT"])
_CONTROL = (BITS["CLEAR_META_RESV"], BITS["CLEAR_DATA_RESV"], BITS["ADD_INODE_BYTES"], BITS["CLEAR_ALL_BITS"])


class Operation(NamedTuple):
    """A call of the kernel: "set", "clear", "convert" or "release"."""

    kind: str
    start: int = 0
    end: int = 0
    bits: int = 0
    clear_bits: int = 0


def random_operations(
    rng: random.Random, count: int, pages: int, page_size: int = 4096, *, extremes: bool = False
) -> Iterator[Operation]:
    """Make `count` operations on whole pages of [0, `pages`), mostly short, of every kind.

    A convert never clears what it sets: none was seen in a record, and what is left then depends on where
    the states end. With `extremes`, some begin or end at odd offsets or at U64_MAX.
    """
    for _ in range(count):
        first = rng.randrange(pages)
        length = min(rng.choice((1, 1, 1, 2, 3, rng.randint(1, pages))), pages - first)
        start, end = first * page_size, (first + length) * page_size - 1
        if extremes:
            start, end = _to_extremes(rng, start, end)
        chance = rng.random()
        bits = _random_bits(rng)
        if chance < 0.5:
            yield Operation("set", start, end, bits)
        elif chance < 0.9:
            yield Operation("clear", start, end, bits | _random_extra(rng))
        elif chance < 0.998:
            yield Operation("convert", start, end, bits, rng.choice(_OFTEN) & ~bits)
        else:
            yield Operation("release")


def _random_bits(rng: random.Random) -> int:
    bits = rng.choice(_OFTEN if rng.random() < 0.8 else _SELDOM)
    return bits | rng.choice(_OFTEN) if rng.random() < 0.25 else bits


def _random_extra(rng: random.Random) -> int:
    """Return what a clear asks for besides: often all the bits in use, so that states go away again."""
    chance = rng.random()
    if chance < 0.4:
        return sum(_OFTEN) | sum(_SELDOM)
    return rng.choice(_CONTROL) if chance < 0.5 else 0


def _to_extremes(rng: random.Random, start: int, end: int) -> tuple[int, int]:
    chance = rng.random()
    if chance < 0.02:
        return start, U64_MAX
    if chance < 0.04:
        return U64_MAX - rng.randrange(5), U64_MAX
    if chance < 0.3:
        return start // 1024, end // 1024
    return start, end


def translated(operations: Iterable[Operation], layout: BitLayout) -> Iterator[Operation]:
    """Give random operations the bits of another layout; leave out those that would ask for nothing."""

    def others(bits: int) -> int:
        return sum(layout.names.get(name, 0) for name, bit in BITS.items() if bits & bit)

    for operation in operations:
        bits, clear_bits = others(operation.bits), others(operation.clear_bits)
        if bits or operation.kind == "release":
            yield operation._replace(bits=bits, clear_bits=clear_bits)


def section(tree: ExtentIoTree, operation: Operation, at: int) -> int:
    """Do one section of a set, clear or convert."""
    if operation.kind == "set":
        return tree.set_section(at, operation.end, operation.bits)
    if operation.kind == "clear":
        return tree.clear_section(at, operation.end, operation.bits)
    return tree.convert_section(at, operation.end, operation.bits, operation.clear_bits)


@dataclass(frozen=True)
class Outcome:
    """What an operation did, in terms that a kernel's record has."""

    failed_start: int | None
    sections: int
    erased: tuple[int, ...]
    unused: tuple[int, ...]
    """The preallocated state that was freed at the end, if any."""


class KernelCalls:
    """Applies operations to a tree, allocating idents 1, 2, ... when the kernel allocates states.

    The kernel allocates before it locks unless it has a state in hand, and under the lock when it needs one
    more.
    """

    def __init__(self, tree: ExtentIoTree) -> None:
        self.tree = tree
        self.allocated = 0

    def apply(self, operation: Operation) -> Outcome:
        """Do the operation; the tree's `erased` and `supply` are empty afterwards."""
        tree = self.tree
        size = 2 * len(tree) + 8
        tree.supply = list(range(self.allocated + size, self.allocated, -1))
        at, sections, needed = operation.start, 0, 0
        if operation.kind == "release":
            tree.release()
            at = DONE
        while at >= 0:
            needed = size - len(tree.supply) + 1
            at = section(tree, operation, at)
            sections += 1
        used = size - len(tree.supply)
        needed = max(needed, used)
        unused = tuple(range(self.allocated + used + 1, self.allocated + needed + 1))
        self.allocated += needed
        outcome = Outcome(tree.failed_start if at == FAILED else None, sections, tuple(tree.erased), unused)
        tree.erased.clear()
        tree.supply = []
        return outcome


def tree_of(*rows: tuple[int, int, int], behaviour: Behaviour = Behaviour.linux_6_18) -> ExtentIoTree:
    """Build a tree of states given in pages, first to last inclusive, with idents 1, 2, ... in order."""
    tree = ExtentIoTree(LINUX_6_18, behaviour)
    for ident, (first, last, held) in enumerate(rows, 1):
        tree.supply = [ident]
        # Locked while the others are put in, so that nothing merges.
        assert tree.set_extent_bit(first * PAGE, (last + 1) * PAGE - 1, held | BITS["LOCKED"]) is None
        assert not tree.supply
    for state in tree:
        state.state &= ~BITS["LOCKED"]
    for state, (_, _, held) in zip(tree, rows, strict=True):
        state.state = held
    tree.supply = [93, 92, 91]
    return tree


def rows(tree: ExtentIoTree) -> Rows:
    """Return (first page, last page, bits, ident)."""
    assert all(start % PAGE == 0 and (end + 1) % PAGE == 0 for start, end, _, _ in tree.states())
    return [(start // PAGE, end // PAGE, held, ident) for start, end, held, ident in tree.states()]


def pages(first: int, last: int) -> tuple[int, int]:
    """Return the first and last byte of a range of pages."""
    return first * PAGE, (last + 1) * PAGE - 1
