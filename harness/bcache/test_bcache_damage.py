# SPDX-License-Identifier: GPL-2.0-or-later
"""Each kind of damage is found, by the right finding, in the right place; what is sound is left alone."""

from __future__ import annotations

import pytest

from harness.bcache.damage import DAMAGES, Damage
from harness.bcache.findings import NOTES, Invariant
from harness.bcache.testing import checked, small_image

UNREACHED = {Invariant.READABLE}
"""Held by the tests of devices."""


def damaged(damage: Damage) -> bytearray:
    image = small_image(damage.nbuckets)
    if damage.edit:
        damage.edit(image)
    data = image.pack()
    if damage.poke:
        damage.poke(data, image)
    return data


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
def test_damage_is_found(damage: Damage) -> None:
    found = checked(damaged(damage)).findings
    places = [str(finding.place) for finding in found if finding.invariant is damage.invariant]
    assert any(damage.where in place for place in places), list(map(str, found))
    assert bool(found.damage) == (damage.invariant not in NOTES), list(map(str, found))


def test_there_are_many_kinds_and_one_for_each_invariant() -> None:
    assert len(DAMAGES) >= 40
    assert {damage.invariant for damage in DAMAGES} == set(Invariant) - UNREACHED


@pytest.mark.parametrize("nbuckets", [160, 3000])
def test_a_sound_device_has_no_findings(nbuckets: int) -> None:
    assert checked(small_image(nbuckets).pack()).findings == []
