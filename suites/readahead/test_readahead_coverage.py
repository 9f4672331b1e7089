# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables of bundles and branches say what the judge found."""

from __future__ import annotations

from pathlib import Path

from harness.judge.readahead_coverage import BRANCHES
from harness.readahead.record import Kind
from harness.readahead.testing import write_bundle
from suites.readahead.coverage import lines
from suites.readahead.simulated import SCENES


def test_the_tables_add_up_over_bundles(tmp_path: Path) -> None:
    kernels = {name: SCENES[name]() for name in ("one copy", "two copies")}
    for name, kernel in kernels.items():
        write_bundle(tmp_path / name, kernel)
    reads = [sum(row.kind == Kind.SUBMIT for row in kernel.rows) for kernel in kernels.values()]
    table = list(lines([tmp_path]))
    assert table[2].startswith(f"| one copy | PASS | {reads[0]:,} | ")
    assert table[3].startswith(f"| two copies | PASS | {reads[1]:,} | ")
    assert table[4].startswith(f"| all | | {sum(reads):,} | ")
    assert len(table) == 2 + 3 + 1 + 2 + len(BRANCHES)
    (hooks,) = [line for line in table if line.startswith("| __readahead_hook: block |")]
    assert hooks == f"| __readahead_hook: block | {sum(reads):,} | 2 |"
