# SPDX-License-Identifier: GPL-2.0-or-later
"""Which profiles the running kernel's btrfs knows."""

from __future__ import annotations

from pathlib import Path

from loopdevs.errors import LoopdevsError
from loopdevs.layout import BtrfsLayout

__all__ = ["check_profiles"]

FEATURES = Path("/sys/fs/btrfs/features")
"""A file for each feature; not there before btrfs is loaded."""
_FEATURE = {"raid5": "raid56", "raid6": "raid56", "raid1c3": "raid1c34", "raid1c4": "raid1c34"}
"""What a profile needs, of those that do (fs/btrfs/sysfs.c)."""


def check_profiles(layout: BtrfsLayout, features: Path | None = None) -> None:
    """Raise LoopdevsError for a profile that this kernel cannot mount; where it does not tell, do nothing."""
    features = features or FEATURES
    for profile in (layout.data, layout.metadata):
        feature = _FEATURE.get(profile)
        if feature and features.is_dir() and not (features / feature).exists():
            raise LoopdevsError(
                f"this kernel's btrfs does not know profile {profile} ({features} has no {feature}): "
                "choose another profile or kernel"
            )
