# SPDX-License-Identifier: GPL-2.0-or-later
"""The devices of a file system that were given, and those that were not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from harness.metadata.errors import MetadataError
from harness.metadata.image import Image
from reference.ondisk import Superblock

__all__ = ["Devices"]


class Devices:
    """Devices of one file system, by devid; leaving it as a context closes them."""

    def __init__(self, paths: Iterable[Path], *, direct: bool = False) -> None:
        """Open all; MetadataError if one cannot be read or they are not devices of one file system."""
        with ExitStack() as opened:
            images: list[Image] = []
            for path in paths:
                images.append(Image(path, direct=direct))
                opened.callback(images[-1].close)
            self.images = _by_devid(images)
            """By devid."""
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all."""
        self._opened.close()

    @property
    def superblock(self) -> Superblock:
        """The superblock of the last transaction that any of the devices has seen."""
        return max((image.superblock for image in self.images.values()), key=lambda s: s.generation)

    @property
    def stale(self) -> set[int]:
        """Devids of devices that have not seen the last transaction."""
        newest = self.superblock.generation
        return {devid for devid, image in self.images.items() if image.superblock.generation != newest}


def _by_devid(images: Sequence[Image]) -> dict[int, Image]:
    if not images:
        raise MetadataError("no device is given: give all devices of the file system")
    first = images[0]
    found: dict[int, Image] = {}
    for image in images:
        if image.superblock.fsid != first.superblock.fsid:
            raise MetadataError(
                f"{image.path}: is of file system {image.superblock.fsid_text}, {first.path} of "
                f"{first.superblock.fsid_text}: give devices of one"
            )
        if image.devid in found:
            raise MetadataError(
                f"{image.path}: is device {image.devid}, as is {found[image.devid].path}: leave one out"
            )
        found[image.devid] = image
    return found
