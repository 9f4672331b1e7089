# SPDX-License-Identifier: GPL-2.0-or-later
"""The traditional walk and the readahead of a tree in turns, each with nothing of it in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from suites.readahead.guest import Reader, whole
from suites.readahead.guest_trees import drop_caches

__all__ = ["in_turns"]

TURNS = 5
SECTOR_BYTES = 512


def in_turns(reader: Reader) -> None:
    """Read all trees `TURNS` times in each way, walk first and readahead first by turns.

    The steps say how many bytes each read from the devices: if some of a tree was in memory, fewer.
    """
    ways: list[tuple[str, Callable[[], None]]] = [
        ("walk", lambda: _walk(reader)),
        ("readahead", lambda: reader.read(whole(reader.trees))),
    ]
    devices = reader.experiment.filesystem.devices
    for _ in range(TURNS):
        for name, read in ways:
            before = _read_bytes(devices)
            read()
            after = _read_bytes(devices)
            reader.experiment.step(f"bytes read by {name}", lambda read=after - before: read)
        ways.reverse()


def _walk(reader: Reader) -> None:
    drop_caches()
    for request in whole(reader.trees):
        reader.experiment.step("walk", reader.experiment.readahead().walk, request)


def _read_bytes(devices: Sequence[Path]) -> int:
    """Return how much was read from `devices` by now (Documentation/block/stat.rst)."""
    stats = [Path("/sys/class/block", device.name, "stat").read_text().split() for device in devices]
    return sum(int(stat[2]) for stat in stats) * SECTOR_BYTES
