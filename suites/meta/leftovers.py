# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel holds of a test, other runs on the same machine left out."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import loopdevs.leftovers
from loopdevs.cgroups import groups
from loopdevs.marker import MARKER_FILE
from loopdevs.tracing import PREFIX

__all__ = ["held"]


def held(below: Path) -> set[str]:
    """Return a line for each loop device, mount and process of `below`, and for each thing without an owner.

    Tracing instances and control groups have no place in the file system. Their names tell the run; a run
    that is alive holds its marker open, and what it has is its own affair. Needs root.
    """
    alive = _tokens_of_live_runs()
    instances = {
        name
        for name in loopdevs.leftovers.tracing_instances()
        if name.removeprefix(PREFIX).rpartition("-")[0] not in alive
    }
    throttles = {
        group.folder
        for group in groups()
        if group.folder.name.removeprefix(PREFIX).rpartition("-")[0] not in alive
    }
    return {
        *loopdevs.leftovers.kernel_leftovers(below),
        *(f"tracing instance {name}" for name in instances),
        *(f"control group {folder}" for folder in throttles),
    }


def _tokens_of_live_runs() -> set[str]:
    tokens = set()
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        # Processes end and descriptors close while we look.
        with suppress(OSError, ValueError):
            if descriptor.readlink().name == MARKER_FILE:
                tokens.add(json.loads(descriptor.read_text())["token"])
    return tokens
