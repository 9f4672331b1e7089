# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether blocks, read in any order after their parents, lie on levels as those of a tree do."""

from __future__ import annotations

from harness.metadata.errors import MetadataError
from reference.readahead.source import Node

__all__ = ["LevelCheck"]


class LevelCheck:
    """Remembers the level of each block that was read or pointed to. A loop leads up once, and is found."""

    def __init__(self) -> None:
        self._levels: dict[int, int] = {}

    def check(self, node: Node) -> None:
        """Take note of a block; MetadataError if it, or one it points to, was to be of another level."""
        self._expect(node.bytenr, node.level)
        for child in node.blockptrs:
            self._expect(child, node.level - 1)

    def _expect(self, bytenr: int, level: int) -> None:
        known = self._levels.setdefault(bytenr, level)
        if known != level:
            raise MetadataError(
                f"block {bytenr} is of level {known} in one place of the tree and of {level} in another: "
                "the tree is damaged"
            )
