# SPDX-License-Identifier: GPL-2.0-or-later
"""Virtio drives of a guest: sparse files on the host, which live no longer than the guest."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

from harness.cases import Case
from harness.errors import UserError

__all__ = [
    "DRIVES",
    "ROTATIONAL",
    "SHELL_DRIVES",
    "Devices",
    "drive_files",
    "drive_options",
    "drives_for",
    "escaped",
    "serials",
]

Devices = Literal["loop", "drives", "rotational"]
"""What btrfs stands on in a guest: loop devices in its memory, drives on files, or rotational drives."""
DRIVES: Devices = "drives"
ROTATIONAL: Devices = "rotational"

SHELL_DRIVES = (4 << 30,) * 4
"""The sizes of the drives of a guest that is not told what they are for, bytes."""


def drives_for(cases: Sequence[Case]) -> tuple[int, ...]:
    """Return the sizes of the drives, bytes, that suffice for each of `cases`, as its first devices."""
    count = max(case.layout.devices for case in cases)
    return tuple(
        max(case.layout.device_bytes for case in cases if case.layout.devices > n) for n in range(count)
    )


def serials(drives: Sequence[object]) -> list[str]:
    """Return the serial numbers of so many drives, by which `loopdevs` knows them as ours.

    >>> serials([1 << 30, 1 << 30])
    ['iodiff-00', 'iodiff-01']
    """
    return [f"iodiff-{n:02}" for n in range(len(drives))]


@contextmanager
def drive_files(folder: Path, drives: Sequence[int]) -> Iterator[None]:
    """Make the files of drives of these sizes in `folder`, a guest's own, and remove them at the end.

    UserError when the file system there cannot hold files of that size.
    """
    with ExitStack() as made:
        for serial, size in zip(serials(drives), drives, strict=True):
            file = folder / serial
            file.touch(mode=0o600, exist_ok=False)
            made.callback(file.unlink)
            try:
                os.truncate(file, size)
            except OSError as error:
                raise UserError(
                    f"{folder}: no drive of {size >> 20:,} MiB can be made ({error.strerror}): "
                    "give a --work on another file system"
                ) from None
        yield


def drive_options(drives: Sequence[int], sockets: Sequence[Path] = ()) -> list[str]:
    """Return QEMU's options for drives of these sizes, whose files are in its working directory.

    More drives follow, which are reached by NBD on `sockets` (`loopdevs.RotationalDrive`).
    """
    names = serials([*drives, *sockets])
    files = [f"file={serial},cache=unsafe" for serial in names[: len(drives)]]
    served = [f"file.driver=nbd,file.server.type=unix,file.server.path={escaped(path)}" for path in sockets]
    return [
        word
        for serial, source in zip(names, [*files, *served], strict=True)
        for word in _options(serial, source)
    ]


def escaped(path: Path) -> str:
    """Return a path as a value in QEMU's options."""
    return str(path).replace(",", ",,")


def _options(serial: str, source: str) -> list[str]:
    # cache=unsafe: the drive has a write cache that wants flushing, as a disk has, but a flush does not go on
    # to the host's disk. Nobody reads the drive after its guest, and the time that such flushes take
    # would be the host's, not the kernel's. Unlike cache=none it works on every file system.
    # discard=unmap: what the guest discards is cut out of the sparse file.
    # werror, rerror: an error of the host's disk stops the guest, which is lost then; if the guest saw it,
    # what its kernel made of it would be held against it.
    return [
        *("-drive", f"if=none,id={serial},{source},format=raw,discard=unmap"),
        *("-device", f"virtio-blk-pci,drive={serial},serial={serial},werror=stop,rerror=stop"),
    ]
