# SPDX-License-Identifier: GPL-2.0-or-later
"""A layout of our own is used only where it was seen to fit, and each one can be compiled."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.capture.checkpoints import Checkpoint, TreeContents
from harness.capture.kernel import BtrfsKernel
from harness.capture.layout import check_layout
from harness.capture.program import LAYOUTS, compile_all, compiled_layout
from harness.capture.records import RECORD, Kind
from harness.errors import InfrastructureError

INODE, DEVICE = 3, 11
ALLOCATED = 0xFFFF888000001000
KERNEL = BtrfsKernel(
    tracepoints={},
    bits={},
    owners={"IO_TREE_INODE_IO": INODE, "IO_TREE_DEVICE_ALLOC_STATE": DEVICE},
    hides_delete=True,
    preempts=False,
    layout="btrfs_5_10",
    structures=b"",
)


STATES = np.array([(ALLOCATED, 0, 4095, 1, 1)], [(n, "u8") for n in ("ptr", "start", "end", "bits", "refs")])


def check(agreed: int, disagreed: int, *owners: int, states: NDArray[Any] = STATES) -> None:
    records = np.zeros(len(owners) + 1, RECORD)
    records["kind"][:-1], records["owner"][:-1] = Kind.SET, owners
    records["kind"][-1], records["ptr"][-1] = Kind.ALLOC, ALLOCATED
    trees = (TreeContents(1, INODE, 0, 0, gone=False, states=states),)
    checkpoints = [Checkpoint("end", 0, 0, valid=True, reason="", trees=trees)]
    check_layout(KERNEL, records, {"agreed": agreed, "disagreed": disagreed}, checkpoints)


def test_a_layout_that_agrees_is_believed() -> None:
    check(10, 0, INODE, DEVICE)
    check(10, 0)


@pytest.mark.parametrize(("agreed", "disagreed"), [(0, 0), (0, 5), (99, 1)])
def test_a_layout_that_disagrees_or_was_never_compared_is_refused(agreed: int, disagreed: int) -> None:
    total = agreed + disagreed
    with pytest.raises(InfrastructureError, match=f"layouts/btrfs_5_10.c says: {disagreed} of {total} trace"):
        check(agreed, disagreed, INODE, DEVICE)


@pytest.mark.parametrize(("column", "value"), [("ptr", ALLOCATED + 8), ("end", 0), ("ptr", 0)])
def test_what_is_no_state_is_refused(column: str, value: int) -> None:
    states = STATES.copy()
    states["start"] = 4096
    states["end"] = 8191
    check(10, 0, INODE, DEVICE, states=states)
    states[column] = value
    with pytest.raises(InfrastructureError, match="a tree held what is no state"):
        check(10, 0, INODE, DEVICE, states=states)


def test_a_record_without_devices_is_refused() -> None:
    with pytest.raises(InfrastructureError, match="no device was seen"):
        check(10, 0, INODE, INODE)


@pytest.mark.skipif(shutil.which("clang") is None, reason="clang is missing")
def test_all_that_a_guest_can_need_is_compiled_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compile_all()
    monkeypatch.setenv("PATH", "")
    layouts = [path.stem for path in LAYOUTS.glob("*.c")]
    assert layouts
    for name in layouts:
        assert compiled_layout(name).read_bytes().startswith(b"\x7fELF")
