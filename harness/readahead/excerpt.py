# SPDX-License-Identifier: GPL-2.0-or-later
"""Trees kept in a bundle, so that judging needs no image: all that the engine asks a `Source` for.

Kept are the blocks that can be reached from the roots: what the nodes point to, and for each address, be it
readable or not, where its copies are and its block group. Leaves are kept without their keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.bundle import Bundle, BundleWriter, Table
from harness.errors import UserError
from reference.readahead import BlockGroup, Key, Mapping, Node, Source, Stripe

__all__ = ["LAYOUT_FILE", "TREES_FILE", "Device", "Excerpt", "load_excerpt", "save_excerpt"]

TREES_FILE = "readahead_trees.npz"
LAYOUT_FILE = "readahead_layout.json"

_UNREADABLE = 255
"""In place of the level."""


@dataclass(frozen=True)
class Device:
    """A device of the file system."""

    devid: int
    missing: bool = False
    """Whether it has no `bdev`."""


@dataclass
class Excerpt:
    """Trees and their places, as kept in a bundle (`Source`)."""

    nodesize: int
    devices: Sequence[Device]
    """In the order of the kernel's `fs_devices->devices`."""
    nodes: dict[int, Node] = field(default_factory=dict)
    """By logical address; without those that could not be read."""
    mappings: dict[int, Mapping | None] = field(default_factory=dict)
    groups: dict[int, BlockGroup | None] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        source: Source,
        roots: Iterable[int],
        devices: Sequence[Device],
        unreadable: tuple[type[Exception], ...] = (KeyError,),
    ) -> Excerpt:
        """Keep the trees whose roots are at `roots`; what `source` raises these for is unreadable."""
        excerpt = cls(source.nodesize, devices)
        waiting = list(roots)
        while waiting:
            bytenr = waiting.pop()
            if bytenr in excerpt.mappings:
                continue
            excerpt.mappings[bytenr] = source.map_block(bytenr)
            excerpt.groups[bytenr] = source.lookup_block_group(bytenr)
            try:
                node = source.node(bytenr)
            except unreadable:
                continue
            excerpt.nodes[bytenr] = _without_items(node)
            waiting.extend(node.blockptrs)
        return excerpt

    def node(self, bytenr: int) -> Node:
        """Return the block (`Source`); KeyError if it is not kept."""
        return self.nodes[bytenr]

    def map_block(self, logical: int) -> Mapping | None:
        """Return where the block is (`Source`); KeyError if it is not kept."""
        return self.mappings[logical]

    def lookup_block_group(self, logical: int) -> BlockGroup | None:
        """Return the block group (`Source`); KeyError if the block is not kept."""
        return self.groups[logical]


def _without_items(node: Node) -> Node:
    return node if node.level else Node(node.bytenr, 0, node.generation)


def save_excerpt(writer: BundleWriter, excerpt: Excerpt) -> None:
    """Put the trees and the devices into a bundle."""
    writer.add_table(TREES_FILE, _table(excerpt))
    devices = [{"devid": device.devid, "missing": device.missing} for device in excerpt.devices]
    writer.add_json(LAYOUT_FILE, {"nodesize": excerpt.nodesize, "devices": devices})


def load_excerpt(bundle: Bundle) -> Excerpt:
    """Return what `save_excerpt` put there; UserError if it is something else."""
    try:
        layout = bundle.json(LAYOUT_FILE)
        devices = [Device(int(one["devid"]), bool(one["missing"])) for one in layout["devices"]]
        excerpt = Excerpt(int(layout["nodesize"]), devices)
        _fill(excerpt, bundle.table(TREES_FILE))
        _check_devices(excerpt)
    except (KeyError, TypeError, ValueError, StopIteration) as error:
        raise UserError(
            f"{bundle.path}: {LAYOUT_FILE} or {TREES_FILE} is not an excerpt of trees ({error!r}): "
            "record the case again"
        ) from None
    return excerpt


def _check_devices(excerpt: Excerpt) -> None:
    known = {device.devid for device in excerpt.devices}
    named = {one.devid for mapping in excerpt.mappings.values() if mapping for one in mapping.stripes}
    if unknown := named - known:
        raise ValueError(f"copies are on device {min(unknown)}, which is none of {sorted(known)}")


def _table(excerpt: Excerpt) -> Table:
    """Columns by block (`keys`, `stripes`: how many), by key and by stripe."""
    bytenrs = sorted(excerpt.mappings)
    nodes = [excerpt.nodes.get(bytenr) for bytenr in bytenrs]
    mappings = [excerpt.mappings[bytenr] or Mapping((), 0) for bytenr in bytenrs]
    groups = [excerpt.groups[bytenr] or BlockGroup(0, 0) for bytenr in bytenrs]
    keys = [key for node in nodes if node for key in node.keys]
    stripes = [stripe for mapping in mappings for stripe in mapping.stripes]
    return {
        "bytenr": _u64(bytenrs),
        "level": _u64(_UNREADABLE if node is None else node.level for node in nodes),
        "generation": _u64(0 if node is None else node.generation for node in nodes),
        "keys": _u64(0 if node is None else len(node.keys) for node in nodes),
        "stripes": _u64(len(mapping.stripes) for mapping in mappings),
        "mapped_length": _u64(mapping.length for mapping in mappings),
        "num_tgtdevs": _u64(mapping.num_tgtdevs for mapping in mappings),
        "group_start": _u64(group.start for group in groups),
        "group_length": _u64(group.length for group in groups),
        "objectid": _u64(key.objectid for key in keys),
        "type": _u64(key.type for key in keys),
        "offset": _u64(key.offset for key in keys),
        "blockptr": _u64(pointer for node in nodes if node for pointer in node.blockptrs),
        "ptr_generation": _u64(number for node in nodes if node for number in node.ptr_generations),
        "devid": _u64(stripe.devid for stripe in stripes),
        "physical": _u64(stripe.physical for stripe in stripes),
    }


def _fill(excerpt: Excerpt, table: Table) -> None:
    keys = iter(list(_rows(table, "objectid", "type", "offset", "blockptr", "ptr_generation")))
    stripes = iter(list(_rows(table, "devid", "physical")))
    columns = ("bytenr", "level", "generation", "keys", "stripes", "mapped_length", "num_tgtdevs")
    for row in _rows(table, *columns, "group_start", "group_length"):
        bytenr, level, generation, key_count, stripe_count, length, targets, start, group_length = row
        pointers = [next(keys) for _ in range(key_count)]
        copies = [Stripe(*next(stripes)) for _ in range(stripe_count)]
        excerpt.mappings[bytenr] = Mapping(copies, length, targets) if copies else None
        excerpt.groups[bytenr] = BlockGroup(start, group_length) if group_length else None
        if level != _UNREADABLE:
            excerpt.nodes[bytenr] = Node(
                bytenr,
                level,
                generation,
                [Key(*pointer[:3]) for pointer in pointers],
                [pointer[3] for pointer in pointers],
                [pointer[4] for pointer in pointers],
            )


def _rows(table: Table, *columns: str) -> Iterator[tuple[int, ...]]:
    return zip(*(table[column].tolist() for column in columns), strict=True)


def _u64(values: Iterable[int]) -> Any:
    return np.array(list(values), np.uint64)
