# SPDX-License-Identifier: GPL-2.0-or-later
"""How files are made, step by step: data that a seed makes, a mount executes and shrinking makes smaller."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np

__all__ = [
    "BLOCK",
    "COMPRESSIBLE_WORDS",
    "DONORS",
    "FILES",
    "SNAPSHOT",
    "WORDS",
    "Action",
    "Plan",
    "Step",
    "contents",
    "plan_of_json",
    "plan_to_json",
    "written",
]

BLOCK = 4096
WORDS = BLOCK // 8
"""Words of 8 bytes in a block."""
COMPRESSIBLE_WORDS = 8
"""What a block has before it is zeros, if it is to be compressible."""

DONORS = "donors"
"""Folder of files that are there to be shared."""
FILES = "files"
"""Subvolume of files that are read."""
SNAPSHOT = "snapshot"
"""Snapshot of that subvolume, taken at the end if something in it is read."""


class Action(StrEnum):
    """What is done to a file. All but the first three are on a file that is there or is created by it."""

    CREATE = "create"
    NODATACOW = "nodatacow"
    """Create without copy-on-write, checksums and compression (`chattr +C`)."""
    COMPRESS = "compress"
    """Create with the property `compression`, `how`."""
    WRITE = "write"
    """Write `written`, through the page cache, and fsync."""
    SHARE = "share"
    """Share a range of `source` (FICLONERANGE); `length` 0 is to its end."""
    TRUNCATE = "truncate"
    """Set the length to `length`."""
    ALLOCATE = "allocate"
    """fallocate(2) without flags."""
    RESERVE = "reserve"
    """fallocate(2) with FALLOC_FL_KEEP_SIZE."""
    SYNC = "sync"
    """fsync(2)."""


@dataclass(frozen=True)
class Step:
    """One action on one file."""

    action: Action
    file: str
    """Below the mount point."""
    offset: int = 0
    """Bytes, as all lengths."""
    length: int = 0
    source: str = ""
    """Of SHARE: the file."""
    source_offset: int = 0
    seed: int = 0
    """Of WRITE: what decides the data."""
    compressible: bool = False
    """Of WRITE: whether blocks are mostly zeros."""
    how: str = ""
    """Of COMPRESS: zlib, lzo or zstd."""


@dataclass(frozen=True)
class Plan:
    """All steps, and which files are read."""

    steps: Sequence[Step]
    read: Sequence[str]
    """Below the mount point, in the layout's order."""

    @property
    def made(self) -> list[str]:
        """The files that the steps make, in the order in which they come up."""
        return list(dict.fromkeys(step.file for step in self.steps))

    def __str__(self) -> str:
        """Few words, where steps of a case are told."""
        return f"{len(self.steps)} steps, {len(self.read)} files to read"


def written(step: Step) -> bytes:
    """Return what a WRITE writes: words that count up from another start in each block.

    So each block is different, and a bundle has them small.
    """
    count = -(-step.length // BLOCK)
    rng = random.Random(step.seed)
    starts = np.array([rng.getrandbits(63) for _ in range(count)], np.uint64)
    words = starts[:, None] + np.arange(WORDS, dtype=np.uint64)[None, :]
    if step.compressible:
        words[:, COMPRESSIBLE_WORDS:] = 0
    return words.tobytes()[: step.length]


def contents(plan: Plan) -> dict[str, bytearray]:
    """Return what each file holds in the end, those of the snapshot that are read too."""
    images: dict[str, bytearray] = {}
    for step in plan.steps:
        _execute(images.setdefault(step.file, bytearray()), step, images)
    inside = f"{SNAPSHOT}/"
    return images | {
        name: images[f"{FILES}/{name.removeprefix(inside)}"] for name in plan.read if name.startswith(inside)
    }


def _execute(image: bytearray, step: Step, images: Mapping[str, bytearray]) -> None:
    match step.action:
        case Action.WRITE:
            _put(image, step.offset, written(step))
        case Action.SHARE:
            end = step.source_offset + step.length if step.length else None
            data = bytes(images.get(step.source, b"")[step.source_offset : end])
            # Nothing shared is nothing done: the file does not become longer.
            if data:
                _put(image, step.offset, data)
        case Action.TRUNCATE:
            del image[step.length :]
            _put(image, step.length, b"")
        case Action.ALLOCATE:
            _put(image, max(len(image), step.offset + step.length), b"")


def _put(image: bytearray, offset: int, data: bytes) -> None:
    if len(image) < offset:
        image += bytes(offset - len(image))
    image[offset : offset + len(data)] = data


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """Return a plan as it stands in a bundle: of each step what is not as in most steps."""
    plain = asdict(Step(Action.SYNC, ""))
    steps = [
        {name: value for name, value in asdict(step).items() if value != plain[name]} for step in plan.steps
    ]
    return {"read": list(plan.read), "steps": steps}


def plan_of_json(told: Mapping[str, Any]) -> Plan:
    """Return the plan that `plan_to_json` told; KeyError, TypeError or ValueError if it is something else."""
    steps = [
        Step(Action(one.get("action", Action.SYNC)), **{k: v for k, v in one.items() if k != "action"})
        for one in told["steps"]
    ]
    return Plan(steps, told["read"])
