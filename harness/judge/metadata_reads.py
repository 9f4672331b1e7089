# SPDX-License-Identifier: GPL-2.0-or-later
"""What was read of trees, held against the trees: what every run of walk or readahead must have in common."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from statistics import median

from harness.bundle import Bundle
from harness.metadata.levels import LevelCheck
from harness.readahead.excerpt import Excerpt, load_excerpt
from harness.readahead.reads import READS_FILE, BlockRead, Run, load_runs
from harness.verdicts import Check, Difference
from reference.readahead import Behaviour
from reference.readahead.naive import blocks_to_read

__all__ = ["check_reads", "checks_of_reads"]


def checks_of_reads(bundle: Bundle) -> list[Check]:
    """Return the checks of a bundle's reads; none if it has none. UserError if its files are damaged."""
    return check_reads(load_excerpt(bundle), load_runs(bundle)) if bundle.has(READS_FILE) else []


def check_reads(trees: Excerpt, runs: Sequence[Run]) -> list[Check]:
    """Return four checks of `runs`, each over all of them. MetadataError if `trees` are none."""
    levels = LevelCheck()
    for node in trees.nodes.values():
        levels.check(node)
    judges: dict[str, Callable[[Excerpt, Run], _Judged]] = {
        "blocks read": _the_set,
        "read once": _once,
        "copies read": _copies,
        "parents first": _parents_first,
    }
    return [_check(name, [judge(trees, run) for run in runs], runs) for name, judge in judges.items()]


_Judged = tuple[int, list[str]]
"""How many things of a run were compared, and a line for each that is wrong."""


def _check(name: str, judged: Sequence[_Judged], runs: Sequence[Run]) -> Check:
    wrong = [f"{run.method}: {line}" for run, (_, lines) in zip(runs, judged, strict=True) for line in lines]
    first = Difference(summary=wrong[0], kernel=tuple(wrong[:20])) if wrong else None
    detail = _times(runs) if name == "blocks read" else ""
    return Check.of(name, sum(compared for compared, _ in judged), len(wrong), detail=detail, first=first)


def _times(runs: Sequence[Run]) -> str:
    """Return the median time of each method."""
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    for run in runs:
        seconds[run.method].append(run.seconds)
    return ", ".join(f"{method} {median(times):.3f} s" for method, times in seconds.items())


def _the_set(trees: Excerpt, run: Run) -> _Judged:
    """The set read is the set in the trees; below a block that a readahead could not read, nothing is."""
    walked = run.method == "walk"
    failing = set() if walked else {read.logical for read in run.reads if read.err}
    left_out = set() if walked else _left_out(trees, run.method)
    expected = {
        block
        for one in run.wanted
        for block in blocks_to_read(trees, one.root, one.key_start, one.key_end, failing, left_out)
    }
    found = {read.logical for read in run.reads}
    wrong = [f"block {block} of the trees was not read" for block in sorted(expected - found)]
    wrong += [f"block {block} was read: there is none of the trees" for block in sorted(found - expected)]
    return len(expected), wrong


def _left_out(trees: Excerpt, method: str) -> set[int]:
    """Return the blocks that an engine of this behaviour does not queue (`reada_find_extent`)."""
    named = (Behaviour.seed_2011, Behaviour.linux_5_10)
    behaviour = next(one for one in named if method.endswith(one.name))
    missing = {device.devid for device in trees.devices if device.missing}
    left_out = set()
    for block, mapping in trees.mappings.items():
        devids = [stripe.devid for stripe in mapping.stripes] if mapping else []
        too_many = len(devids) > behaviour.max_mirrors
        twice = behaviour.dup_meets_eexist and len(set(devids)) < len(devids)
        nowhere = missing.issuperset(devids) and not (devids and behaviour.reads_missing_devices)
        if too_many or twice or nowhere:
            left_out.add(block)
    return left_out


def _once(_trees: Excerpt, run: Run) -> _Judged:
    """Each block was read once; after an error, once more from each other copy."""
    counted = Counter((read.logical, read.mirror_num if read.err else 0) for read in run.reads)
    return len(counted), [
        f"block {block} was read {times} times" for (block, _), times in counted.items() if times > 1
    ]


def _copies(trees: Excerpt, run: Run) -> _Judged:
    """Each block was read from one of its own copies."""
    wrong = [
        f"block {read.logical} was read from {read.physical} of device {read.devid}: no copy of it is there"
        for read in run.reads
        if not _is_a_copy(trees, read)
    ]
    return len(run.reads), wrong


def _is_a_copy(trees: Excerpt, read: BlockRead) -> bool:
    mapping = trees.mappings.get(read.logical)
    if mapping is None:
        return False
    # Mirrors beyond the copies are rebuilt; what is noted of them is where the block itself is.
    number = min(read.mirror_num, len(mapping.stripes))
    return tuple(mapping.stripes[number - 1]) == (read.devid, read.physical)


def _parents_first(trees: Excerpt, run: Run) -> _Judged:
    """No block was asked for before one that points to it had been read."""
    parents: defaultdict[int, list[int]] = defaultdict(list)
    for node in trees.nodes.values():
        for child in node.blockptrs:
            parents[child].append(node.bytenr)
    ends = {read.logical: read.end_ns for read in run.reads if not read.err}
    roots = {one.bytenr for one in run.wanted}
    wrong = list(_too_early(run, parents, ends, roots))
    return sum(read.logical not in roots for read in run.reads), wrong


def _too_early(
    run: Run, parents: defaultdict[int, list[int]], ends: dict[int, int], roots: set[int]
) -> Iterator[str]:
    for read in run.reads:
        read_before = (ends[parent] for parent in parents[read.logical] if parent in ends)
        if read.logical not in roots and not any(end <= read.submitted_ns for end in read_before):
            yield f"block {read.logical} was asked for before any block that points to it had been read"
