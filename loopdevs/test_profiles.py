# SPDX-License-Identifier: GPL-2.0-or-later
"""Profiles that the running kernel does not know are refused before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from loopdevs import BtrfsLayout, LoopdevsError, Workspace, profiles


@pytest.mark.parametrize(
    ("profile", "feature"), [("raid5", "raid56"), ("raid6", "raid56"), ("raid1c3", "raid1c34")]
)
def test_a_profile_that_is_not_known(tmp_path: Path, profile: str, feature: str) -> None:
    layout = BtrfsLayout(devices=4, data=profile)
    with pytest.raises(LoopdevsError, match=rf"does not know profile {profile} .* no {feature}\): choose"):
        profiles.check_profiles(layout, tmp_path)
    (tmp_path / feature).touch()
    profiles.check_profiles(layout, tmp_path)


def test_others_need_nothing_and_a_kernel_that_does_not_tell_is_not_asked(tmp_path: Path) -> None:
    profiles.check_profiles(BtrfsLayout(devices=4, data="raid10", metadata="raid1"), tmp_path)
    profiles.check_profiles(BtrfsLayout(devices=4, data="raid6"), tmp_path / "none")


def test_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "features").mkdir()
    monkeypatch.setattr(profiles, "FEATURES", tmp_path / "features")
    with Workspace.create(tmp_path / "work") as workspace:
        before = sorted(workspace.directory.rglob("*"))
        with pytest.raises(LoopdevsError, match="does not know profile raid5"):
            workspace.btrfs(BtrfsLayout(devices=3, data="raid5"))
        assert sorted(workspace.directory.rglob("*")) == before
