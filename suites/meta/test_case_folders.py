# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from collections import Counter

from harness.cli.selection import all_cases


def test_each_case_has_a_folder_of_its_own() -> None:
    times = Counter(case.folder for case in all_cases())
    assert len(times) > 50
    assert [name for name, count in times.items() if count > 1] == []
