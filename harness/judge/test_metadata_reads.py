# SPDX-License-Identifier: GPL-2.0-or-later
"""Each check of reads sees what it is there for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.judge.metadata_reads import check_reads
from harness.metadata import MetadataError
from harness.readahead.excerpt import Device, Excerpt
from harness.readahead.reads import BlockRead, Run, Wanted
from harness.verdicts import Verdict
from reference.readahead import MAX_KEY, MIN_KEY, walk
from reference.readahead.testing import NODESIZE, Blocks

PLACES = [20, 5, 18, 2, 4, 30, 40, 41, 42]
"""Six leaves, two nodes, the root."""


def trees() -> Excerpt:
    source = Blocks([(1, 2), (1, 2), (3,)], blocks_per_group=16)
    source.grow(leaves=6, fanout=3, places=PLACES)
    return Excerpt.of(source, [PLACES[-1] * NODESIZE], [Device(1), Device(2), Device(3)])


def run_of(excerpt: Excerpt, method: str = "walk") -> Run:
    """Return what a walk reads: each block 10 ns after the one before, for 5 ns, from the first copy."""
    root = excerpt.node(PLACES[-1] * NODESIZE)
    reads = []
    for number, node in enumerate(walk(excerpt, root.bytenr)):
        mapping = excerpt.map_block(node.bytenr)
        assert mapping is not None
        begin = number * 10
        reads.append(BlockRead(*mapping.stripes[0], node.bytenr, 1, begin, begin, begin + 5, 0))
    wanted = Wanted(2, root.bytenr, root.generation, MIN_KEY, MAX_KEY)
    return Run(method, (wanted,), 1, 100, (100,), tuple(reads))


def changed(run: Run, place: int, **values: int) -> Run:
    reads = list(run.reads)
    reads[place] = reads[place]._replace(**values)
    return replace(run, reads=tuple(reads))


def with_another(run: Run, logical: int) -> Run:
    return replace(run, reads=(*run.reads, run.reads[-1]._replace(logical=logical)))


def verdicts(run: Run) -> dict[str, str]:
    """Return the first line of each check that fails."""
    checks = check_reads(trees(), [run])
    return {
        check.name: check.first_difference.summary
        for check in checks
        if check.verdict is Verdict.FAIL and check.first_difference
    }


@pytest.mark.parametrize("method", ["walk", "readahead linux_5_10", "readahead seed_2011"])
def test_a_good_run_passes(method: str) -> None:
    checks = check_reads(trees(), [run_of(trees(), method)] * 2)
    assert [(check.verdict, check.compared) for check in checks] == [
        (Verdict.PASS, 18),
        (Verdict.PASS, 18),
        (Verdict.PASS, 18),
        (Verdict.PASS, 16),
    ]
    assert checks[0].detail == f"{method} 0.000 s"


def test_nothing_read_of_nothing_is_undecided() -> None:
    assert {check.verdict for check in check_reads(trees(), [])} == {Verdict.UNDECIDED}


@pytest.mark.parametrize(
    ("fault", "check", "text"),
    [
        (lambda run: replace(run, reads=run.reads[:-1]), "blocks read", "of the trees was not read"),
        (lambda run: replace(run, reads=()), "blocks read", "of the trees was not read"),
        (lambda run: with_another(run, 6 * NODESIZE), "blocks read", "24576 was read: there is none"),
        (lambda run: replace(run, reads=(*run.reads, run.reads[4])), "read once", "was read 2 times"),
        (lambda run: changed(run, 2, physical=12345), "copies read", "was read from 12345 of device"),
        (lambda run: changed(run, 2, devid=9), "copies read", "of device 9: no copy"),
        (lambda run: changed(run, 2, mirror_num=2), "copies read", "no copy of it is there"),
        (lambda run: changed(run, 2, submitted_ns=11), "parents first", "was asked for before any block"),
        (lambda run: changed(run, 1, end_ns=1000), "parents first", "was asked for before any block"),
    ],
)
def test_a_fault_is_seen(fault: Callable[[Run], Run], check: str, text: str) -> None:
    found = verdicts(fault(run_of(trees())))
    assert text in found[check]


def test_a_readahead_need_not_read_below_what_failed() -> None:
    """Block 40 is a node with three leaves."""
    run = run_of(trees(), "readahead linux_5_10")
    node = next(n for n, read in enumerate(run.reads) if read.logical == 40 * NODESIZE)
    below = {20 * NODESIZE, 5 * NODESIZE, 18 * NODESIZE}
    cut = replace(
        changed(run, node, err=-5),
        reads=tuple(read for read in changed(run, node, err=-5).reads if read.logical not in below),
    )
    assert not verdicts(cut)
    assert "blocks read" in verdicts(replace(cut, method="walk"))
    assert "blocks read" in verdicts(changed(run, node, err=-5))


def test_after_an_error_the_other_copy_may_be_read() -> None:
    run = run_of(trees())
    leaf = next(n for n, read in enumerate(run.reads) if read.logical == 20 * NODESIZE)
    failed = run.reads[leaf]._replace(err=-5)
    other = run.reads[leaf]._replace(devid=2, mirror_num=2)
    reads = (*run.reads[:leaf], failed, other, *run.reads[leaf + 1 :])
    assert not verdicts(replace(run, reads=reads))
    assert "read once" in verdicts(replace(run, reads=(*reads[: leaf + 1], failed, *reads[leaf + 1 :])))


def test_trees_with_a_loop_are_refused() -> None:
    excerpt = trees()
    root = excerpt.nodes[PLACES[-1] * NODESIZE]
    excerpt.nodes[root.bytenr] = replace(root, blockptrs=[root.bytenr] * len(root.blockptrs))
    with pytest.raises(MetadataError, match="the tree is damaged"):
        check_reads(excerpt, [run_of(trees())])
