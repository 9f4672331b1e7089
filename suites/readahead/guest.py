# SPDX-License-Identifier: GPL-2.0-or-later
"""Readaheads of a kernel that has fs/btrfs/reada.c: trees as a case wants them, then what it asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from harness.capture.choice import READAHEAD
from harness.cases import Case, Experiment
from harness.readahead.device import Handle
from harness.readahead.needs import why_no_readahead
from harness.readahead.record import Request
from harness.record.experiment import LiveExperiment
from loopdevs import BtrfsLayout
from reference.readahead import MAX_KEY, MIN_KEY, Key
from suites.readahead.guest_trees import Shape, drop_caches, make_trees

__all__ = ["Damage", "Failure", "Reader", "guest_case", "ranges", "undamaged", "whole"]

MIB = 1 << 20
XATTR_ITEM = 24
FIRST_INODE = 257
"""Of the one file of each tree."""

Damage = Callable[[LiveExperiment, Sequence[int]], Sequence[Path]]
"""Does something to the unmounted devices, given the trees' ids; returns those that are to be missing."""
Failure = Callable[[LiveExperiment], None]
"""Has something of the mounted devices fail."""


@dataclass(frozen=True)
class Reader:
    """What a case's readaheads are made through."""

    experiment: LiveExperiment
    trees: Sequence[int]

    def add(self, requests: Sequence[Request]) -> list[Handle]:
        """Begin all of them, one after the other."""
        capture = self.experiment.readahead()
        handles = [self.experiment.step("add", capture.add, request) for request in requests]
        return [handle for handle in handles if handle is not None]

    def wait(self, handles: Sequence[Handle]) -> None:
        """Wait for all of them, at the same time."""
        capture = self.experiment.readahead()
        with ThreadPoolExecutor(max(1, len(handles))) as pool:
            self.experiment.step("wait", lambda: list(pool.map(capture.wait, handles)))

    def detach(self, handles: Sequence[Handle]) -> None:
        """Let all of them go on by themselves."""
        for handle in handles:
            self.experiment.step("detach", self.experiment.readahead().detach, handle)

    def read(self, requests: Sequence[Request]) -> None:
        """Read ahead with empty caches, all at the same time, and wait."""
        drop_caches()
        self.wait(self.add(requests))


def whole(trees: Sequence[int]) -> list[Request]:
    """Return a request for the whole of each tree."""
    return [Request(tree, MIN_KEY, MAX_KEY) for tree in trees]


def ranges(reader: Reader, count: int) -> list[Request]:
    """Return requests for so many ranges of keys chosen by chance; some are empty."""
    rng = reader.experiment.rng

    def key() -> Key:
        return Key(FIRST_INODE, XATTR_ITEM, rng.randrange(1 << 32))

    return [Request(rng.choice(reader.trees), key(), key()) for _ in range(count)]


def undamaged(_experiment: LiveExperiment, _trees: Sequence[int]) -> Sequence[Path]:
    """Leave everything as it is."""
    return ()


def _sound(_experiment: LiveExperiment) -> None:
    pass


def guest_case(
    name: str,
    title: str,
    metadata: str,
    devices: int,
    shape: Shape,
    read: Callable[[Reader], None],
    *,
    damage: Damage = undamaged,
    failure: Failure = _sound,
    cpus: int = 1,
    groups: Sequence[str] = ("auto",),
    rotational: bool = False,
    deadline_s: float = 60.0,
) -> Case:
    """Return a case: the trees are made, damaged, mounted again, and then `read` reads ahead in them.

    With `rotational`, it is for rotational disks, which take no time while the trees are made.
    """

    def run(experiment: Experiment) -> None:
        assert isinstance(experiment, LiveExperiment)
        filesystem = experiment.filesystem
        with experiment.at_once() if rotational else nullcontext():
            trees = make_trees(experiment, shape)
            experiment.step("umount", filesystem.umount)
        missing = experiment.step("damage", lambda: damage(experiment, trees))
        options = ["ro", "degraded"] if missing else ["ro"]
        experiment.step("mount", lambda: filesystem.mount(options, without=missing))
        capture = experiment.readahead()
        failure(experiment)
        drop_caches()
        with capture.recording(experiment.mount, cpus):
            read(Reader(experiment, trees))
        left = [device for device in filesystem.devices if device not in missing]
        experiment.step("end", capture.end, left)

    layout = BtrfsLayout(
        devices=devices,
        size_bytes=256 * MIB,
        metadata=metadata,
        mkfs_options=("-n", str(shape.nodesize)),
        room_bytes=(shape.zones + 1) * shape.zone_bytes,
    )
    return Case(
        f"readahead/{name}",
        title,
        frozenset(groups),
        layout,
        run,
        deadline_s=deadline_s,
        capture=READAHEAD,
        why_not=why_no_readahead,
    )
