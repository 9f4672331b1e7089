# SPDX-License-Identifier: GPL-2.0-or-later
"""The release of a kernel, read from its bootable image.

The header is that of the x86 boot protocol (Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header").
"""

from __future__ import annotations

import struct
from pathlib import Path

from harness.errors import UserError

__all__ = ["image_release"]

SECTOR = 512

# Offset 0x1f1: __u8 setup_sects; the size of the set-up code in sectors, without the boot sector. 0 means 4.
SETUP_SECTS = 0x1F1
# Offset 0x1fe: __u16 boot_flag, __u16 jump, __u32 header, __u16 version, __u32 realmode_swtch,
# __u16 start_sys_seg, __u16 kernel_version; the last points to a string, less 0x200.
HEADER = struct.Struct("<HHIHIHH")
HEADER_AT = 0x1FE
BOOT_FLAG = 0xAA55
MAGIC = int.from_bytes(b"HdrS", "little")
KERNEL_VERSION_BASE = 0x200


def image_release(image: Path) -> str:
    """Return the release (as of `uname -r`) of a bzImage.

    Raises UserError for what cannot be read or is no such image.
    """
    try:
        with image.open("rb") as file:
            head = file.read(HEADER_AT + HEADER.size)
            setup = head + file.read((_setup_sectors(head) + 1) * SECTOR - len(head))
    except PermissionError:
        raise UserError(
            f"{image} cannot be read by you: copy it, with its modules, to a place of yours, or be root"
        ) from None
    except OSError as error:
        raise UserError(f"{image} cannot be read: {error.strerror}") from error
    release = _release(setup)
    if release is None:
        raise UserError(f"{image} is no bootable x86 kernel image (vmlinuz, bzImage)")
    return release


def _setup_sectors(head: bytes) -> int:
    return (head[SETUP_SECTS] if len(head) > SETUP_SECTS else 0) or 4


def _release(setup: bytes) -> str | None:
    if len(setup) < HEADER_AT + HEADER.size:
        return None
    boot_flag, _jump, magic, _version, _switch, _segment, pointer = HEADER.unpack_from(setup, HEADER_AT)
    if (boot_flag, magic) != (BOOT_FLAG, MAGIC) or pointer == 0:
        return None
    text, end, _rest = setup[pointer + KERNEL_VERSION_BASE :].partition(b"\0")
    words = text.decode("ascii", "replace").split()
    # A release becomes the name of a folder: nothing that leads elsewhere.
    return words[0] if end and words and "/" not in words[0] else None
