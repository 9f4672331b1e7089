# SPDX-License-Identifier: GPL-2.0-or-later
"""Known issues of bcache: each at a moment of a real log, and not taken for more than it explains."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from harness.bcache.crash.judge import judge_crashes, judge_recovery
from harness.bcache.crash.moments import Moment
from harness.bcache.crash.record import Recovery
from harness.bcache.crash.testing import as_predicted, kept_record
from harness.bcache.crash.weaknesses import KEYS_FIRST, TORN_NODE

EARLY_KEYS = Moment(854, "flushing", 640625561, two_disks=True)
"""The node with the key of write 150 is durable, its data are not; the sector had write 15, flushed."""
TORN = Moment(1171, "torn", 1193450800)
SECTOR = 5155


def judged(recovery: Recovery) -> tuple[set[str], Counter[str]]:
    checks, known = judge_crashes(replace(kept_record(), recoveries=[recovery]))
    return {check.name.removeprefix("crash: ") for check in checks if check.wrong}, known


def test_a_key_before_its_data() -> None:
    recovery = as_predicted(kept_record(), EARLY_KEYS)
    assert recovery.stamps[SECTOR] == 0
    assert judged(recovery) == (set(), Counter({KEYS_FIRST: 1}))


def test_another_sector_is_no_known_issue() -> None:
    recovery = as_predicted(kept_record(), EARLY_KEYS)
    stamps = recovery.stamps.copy()
    other = int(np.nonzero(stamps == 104)[0][0])
    stamps[other] = 0
    wrong, known = judged(replace(recovery, stamps=stamps))
    assert wrong == {"acknowledged", "content"}
    assert known == {KEYS_FIRST: 1}


def test_a_torn_node() -> None:
    recovery = as_predicted(kept_record(), TORN)
    assert recovery.refused == "bad checksum"
    assert judged(recovery) == (set(), Counter({TORN_NODE: 1}))


@pytest.mark.parametrize("changes", [{"refused": None}, {"lines": ["bcache: bad magic"]}])
def test_a_kernel_that_takes_a_torn_node_otherwise(changes: dict[str, object]) -> None:
    recovery = replace(as_predicted(kept_record(), TORN), **changes)  # type: ignore[arg-type]
    assert judge_recovery(kept_record(), recovery)["recovered"].wrong == 1


def test_damage_to_another_node_is_no_known_issue() -> None:
    recovery = as_predicted(kept_record(), replace(TORN, kind="lazy"))
    refused = replace(recovery, refused="bcache refuses /dev/dm-1", lines=["bcache: bad checksum"])
    assert judged(refused)[0] == {"recovered"}
