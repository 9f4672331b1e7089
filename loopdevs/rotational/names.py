# SPDX-License-Identifier: GPL-2.0-or-later
"""What is in the folder of a disk."""

from __future__ import annotations

__all__ = ["COMPLAINTS", "FAILING", "HURRIED", "IMAGE", "POINT", "READY", "SERVED", "SOCKET"]

IMAGE = "image"
"""The file with its data."""
FAILING = "failing"
"""Which of its blocks fail."""
SERVED = "served"
"""The requests that it has done."""
POINT = "disk"
"""The file that the disk is mounted upon."""
SOCKET = "socket"
"""Where it speaks NBD."""
READY, HURRIED = "ready", "hurried"
"""Empty files that say so."""
COMPLAINTS = "complaints"
"""What the process had to say."""
