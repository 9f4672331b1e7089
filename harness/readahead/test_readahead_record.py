# SPDX-License-Identifier: GPL-2.0-or-later
"""What is put into a bundle comes out of it, and what is not such a record is refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.bundle import Bundle, BundleWriter
from harness.errors import UserError
from harness.readahead.excerpt import (
    LAYOUT_FILE,
    TREES_FILE,
    Device,
    Excerpt,
    load_excerpt,
    save_excerpt,
)
from harness.readahead.record import (
    COLUMNS,
    EVENTS_FILE,
    REQUESTS_FILE,
    Event,
    Kind,
    Request,
    events_of,
    load_requests,
    save_record,
    table_of,
)
from reference.readahead import MAX_KEY, MIN_KEY, Key, Node
from reference.readahead.testing import NODESIZE, Blocks

ROWS = [
    Event(1, Kind.ADD, pid=7, logical=1 << 60, value=5),
    Event(2, Kind.HOOK, cpu=1, pid=(1 << 32) - 1, logical=4096, err=-5),
    Event(3, Kind.DEV_RETURN, devid=3, start=0, end=(1 << 64) - 1, locked=1, next=8192, rc=1 << 63, value=-1),
]


def bundle_of(folder: Path, table: dict[str, Any], requests: Any = ()) -> Bundle:
    writer = BundleWriter(folder)
    writer.add_table(EVENTS_FILE, table)
    writer.add_json(REQUESTS_FILE, requests)
    return writer.finish({})


def test_events_and_requests_come_back(tmp_path: Path) -> None:
    requests = [Request(2, MIN_KEY, MAX_KEY), Request(7, Key(1, 2, 3), Key(4, 5, 6))]
    writer = BundleWriter(tmp_path / "b")
    save_record(writer, table_of(ROWS), requests)
    bundle = writer.finish({})
    assert events_of(bundle) == ROWS
    assert load_requests(bundle) == requests


def test_no_events_are_a_record(tmp_path: Path) -> None:
    assert events_of(bundle_of(tmp_path / "b", table_of([]))) == []


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    table = {name: column for name, column in table_of(ROWS).items() if name != "mirror"}
    with pytest.raises(UserError, match=f"{EVENTS_FILE}: no column mirror: record"):
        events_of(bundle_of(tmp_path / "b", table))


def test_columns_are_as_long_as_each_other(tmp_path: Path) -> None:
    table = table_of(ROWS)
    table["rc"] = table["rc"][:2]
    with pytest.raises(UserError, match="columns of 2 and of 3 rows"):
        events_of(bundle_of(tmp_path / "b", table))


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    table = table_of([*ROWS, Event(4, 99)])
    with pytest.raises(UserError, match="event 3 is of kind 99"):
        events_of(bundle_of(tmp_path / "b", table))


@pytest.mark.parametrize(
    "requests", [{"a": 1}, [[2, [0, 0, 0]]], [[2, [0, 0], [1, 1, 1]]], [[2, "x", "y"]], 3]
)
def test_requests_that_are_none_are_refused(tmp_path: Path, requests: Any) -> None:
    with pytest.raises(UserError, match=REQUESTS_FILE):
        load_requests(bundle_of(tmp_path / "b", table_of([]), requests))


def excerpt() -> Excerpt:
    """A tree of three leaves, of which one is unreadable, one has no chunk, and one is stale."""
    source = Blocks([(1, 2), (3,), ()], blocks_per_group=4)
    root = source.grow(leaves=3, fanout=4, places=[2, 5, 9, 3], stale=[5])
    del source.nodes[2 * NODESIZE]
    return Excerpt.of(source, [root.bytenr], [Device(1), Device(2, missing=True), Device(3)])


def test_trees_come_back(tmp_path: Path) -> None:
    kept = excerpt()
    assert sorted(kept.mappings) == [block * NODESIZE for block in (2, 3, 5, 9)]
    assert sorted(kept.nodes) == [block * NODESIZE for block in (3, 5, 9)]
    assert kept.map_block(9 * NODESIZE) is None
    writer = BundleWriter(tmp_path / "b")
    save_excerpt(writer, kept)
    loaded = load_excerpt(writer.finish({}))
    for bytenr in kept.mappings:
        assert loaded.map_block(bytenr) == kept.map_block(bytenr)
        assert loaded.lookup_block_group(bytenr) == kept.lookup_block_group(bytenr)
    assert {n: as_lists(node) for n, node in loaded.nodes.items()} == {
        n: as_lists(node) for n, node in kept.nodes.items()
    }
    assert (loaded.nodesize, list(loaded.devices)) == (kept.nodesize, list(kept.devices))


def as_lists(node: Node) -> list[Any]:
    head = [node.bytenr, node.level, node.generation]
    return [*head, list(node.keys), list(node.blockptrs), list(node.ptr_generations)]


def spoilt(folder: Path, column: str) -> Bundle:
    """Write an excerpt of which `column` is one row short."""
    writer = BundleWriter(folder)
    save_excerpt(writer, excerpt())
    table = writer.finish({}).table(TREES_FILE)
    table[column] = table[column][:-1]
    again = BundleWriter(folder.with_name("again"))
    again.add_table(TREES_FILE, table)
    again.add_text(LAYOUT_FILE, (folder / LAYOUT_FILE).read_text())
    return again.finish({})


@pytest.mark.parametrize("column", ["level", "blockptr", "physical", "devid"])
def test_a_short_excerpt_is_refused(tmp_path: Path, column: str) -> None:
    with pytest.raises(UserError, match="not an excerpt of trees"):
        load_excerpt(spoilt(tmp_path / "b", column))


def test_a_copy_on_a_device_that_is_not_there_is_refused(tmp_path: Path) -> None:
    kept = excerpt()
    kept.devices = kept.devices[:2]
    writer = BundleWriter(tmp_path / "b")
    save_excerpt(writer, kept)
    with pytest.raises(UserError, match=r"copies are on device 3, which is none of \[1, 2\]"):
        load_excerpt(writer.finish({}))


def test_the_columns_hold_what_the_kernel_has() -> None:
    assert np.dtype(COLUMNS["logical"]) == np.uint64
    assert np.dtype(COLUMNS["value"]) == np.int64
