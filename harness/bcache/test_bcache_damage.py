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


def test_an_entry_that_was_torn_once_does_not_matter_for_ever() -> None:
    image = small_image()
    again = [image.jsets[1][0], image.jsets[1][1]]
    image.jsets = [image.jsets[0], image.jsets[1][:1], again]
    data = image.pack()
    data[3 * 4096 + 100] ^= 1
    assert checked(data).findings == []


def test_with_nothing_but_the_checksum_of_the_superblock_wrong_the_rest_is_checked() -> None:
    data = small_image().pack()
    data[4096 + 112] ^= 1
    data[21 * 4096 + 40] ^= 1
    assert [f.invariant for f in checked(data).findings] == [Invariant.SUPERBLOCK, Invariant.NODE_CSUM]
