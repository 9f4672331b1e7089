# SPDX-License-Identifier: GPL-2.0-or-later
"""What loopdevs raises: every message is one line for the user, saying what is wrong and what to do."""

from __future__ import annotations

__all__ = ["DeviceTimeoutError", "LoopdevsError", "NotOursError"]


class LoopdevsError(Exception):
    """Devices could not be made, used or removed as asked; what was begun has been undone."""


class NotOursError(LoopdevsError):
    """A device, path or name that is not in the journal was handed in; nothing was touched."""


class DeviceTimeoutError(LoopdevsError):
    """A block device did not become ready before its deadline."""
