# SPDX-License-Identifier: GPL-2.0-or-later
"""What the host and the agent inside a guest both know."""

from __future__ import annotations

__all__ = ["GUEST_WORK", "MODULES", "PORT_NAME"]

GUEST_WORK = "/run/iodiff/work"
"""Where a guest makes its devices: in its memory."""
PORT_NAME = "iodiff"
"""Of the virtio serial port that is the line between them."""
MODULES = ("loop", "btrfs")
"""What every guest needs of its kernel."""
