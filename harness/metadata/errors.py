# SPDX-License-Identifier: GPL-2.0-or-later
"""A file system that cannot be read."""

from __future__ import annotations

from harness.errors import UserError

__all__ = ["MetadataError"]


class MetadataError(UserError):
    """The metadata of a file system cannot be read: one line that says what is wrong and where."""
