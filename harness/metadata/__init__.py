# SPDX-License-Identifier: GPL-2.0-or-later
"""btrfs's metadata, read from images or block devices without the kernel's help; see docs/ondisk.md."""

from __future__ import annotations

from harness.metadata.errors import MetadataError
from harness.metadata.filesystem import FileSystem
from harness.metadata.trees import tree_blocks

__all__ = ["FileSystem", "MetadataError", "tree_blocks"]
