# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads recorded in guests: each kernel's are as its own behaviour has them, and as no other kernel's has."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from harness.bundle import Bundle
from harness.direct_io.record import Layout, load_layout, load_reads
from harness.judge.direct_io import judge_reads
from harness.judge.verdict import judge_bundle
from harness.verdicts import Verdict
from reference.direct_io.mainline import Behaviour, Reader, behaviour_of

DATA = Path(__file__).parents[1] / "data/direct_io"
KERNELS = {
    "debian-5.10": Behaviour.linux_5_10,
}
"""Folders of bundles, and what their kernels do: sid was 7.2.13."""
RECORDS = [path for kernel in KERNELS for path in sorted((DATA / kernel).glob("*"))]
MOST_BYTES = 500_000


@cache
def opened(path: Path) -> Bundle:
    return Bundle.open(path)


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_recorded_bundle_is_small_and_passes(path: Path) -> None:
    assert sum(file.stat().st_size for file in path.iterdir()) < MOST_BYTES
    bundle = opened(path)
    features = load_layout(bundle).features
    assert features is not None
    assert behaviour_of(features) is KERNELS[path.parent.name]
    verdict = judge_bundle(bundle)
    assert verdict.verdict is Verdict.PASS, verdict
    assert verdict.lost == 0
    assert all(check.compared > 0 for check in verdict.checks)


@pytest.mark.parametrize("kernel", KERNELS)
def test_no_other_kernels_behaviour_explains_it(kernel: str) -> None:
    named = (getattr(Behaviour, name) for name in Behaviour.__annotations__ if name.startswith("linux_"))
    others = set(named) - {KERNELS[kernel]}
    assert len(others) >= 4
    for other in others:
        assert any(wrong(path, other) for path in RECORDS if path.parent.name == kernel), other


def wrong(path: Path, behaviour: Behaviour) -> bool:
    def reader(layout: Layout, number: int) -> Reader:
        return Reader(layout.files[number], layout.volume, layout.contents, behaviour)

    reads, events = load_reads(opened(path))
    layout = load_layout(opened(path))
    return any(check.wrong for check in judge_reads(layout, reads, events, reader).checks)


@pytest.mark.parametrize("kernel", KERNELS)
def test_there_are_reads_enough(kernel: str) -> None:
    counted = [len(load_reads(opened(path))[0]) for path in RECORDS if path.parent.name == kernel]
    assert sum(counted) >= 1000
