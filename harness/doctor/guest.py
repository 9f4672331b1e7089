# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether KVM runs guests here: a boot sector of our own says a word on the serial line and ends the guest.

A /dev/kvm that opens is no proof: in a virtual machine without nested virtualisation guests die at once.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.doctor.probes import MissingError

__all__ = ["boot", "boot_sector", "kvm"]

WORD = b"iodiff guest is alive\r\n"
BOOT_DEADLINE_S: float = 10
SECTOR_BYTES = 512
EXIT_PORT = 0xF4
"""Of QEMU's isa-debug-exit: writing v ends QEMU with code 2v + 1."""


def kvm() -> str:
    """Boot a guest under KVM."""
    emulator = _find_emulator()
    os.close(os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC))
    with TemporaryDirectory(prefix="iodiff-doctor-") as folder:
        disk = Path(folder) / "boot.img"
        disk.write_bytes(boot_sector())
        serial = boot(emulator, disk, "kvm")
    if WORD not in serial:
        raise MissingError("the guest ended without its word", "switch on nested virtualisation, if virtual")
    return "a guest booted"


def boot_sector() -> bytes:
    """Return 512 bytes for a PC to boot, in real mode at 0x7c00."""
    code = bytes(
        [
            *(0x31, 0xC0, 0x8E, 0xD8),  # xor ax, ax; mov ds, ax
            *(0xBE, 0x17, 0x7C),  # mov si, 0x7c17: the word, behind the code
            0xAC,  # next: lodsb
            *(0x84, 0xC0, 0x74, 0x06),  # test al, al; jz end
            *(0xBA, 0xF8, 0x03, 0xEE),  # mov dx, 0x3f8; out dx, al: to the first serial port
            *(0xEB, 0xF5),  # jmp next
            *(0xE6, EXIT_PORT),  # end: out EXIT_PORT, al
            *(0xF4, 0xEB, 0xFD),  # hlt; jmp to hlt
        ]
    )
    return (code + WORD + b"\0").ljust(SECTOR_BYTES - 2, b"\0") + b"\x55\xaa"


def _find_emulator() -> str:
    machine = platform.machine()
    if machine != "x86_64":
        raise MissingError(f"the probe's guest is a PC, this is {machine}")
    found = shutil.which("qemu-system-x86_64")
    if found is None:
        raise MissingError("qemu-system-x86_64 is not installed", "install qemu-system-x86 (QEMU's package)")
    return found


def boot(emulator: str, disk: Path, accelerator: str) -> bytes:
    """Return what the guest says on its serial line."""
    command = [
        *(emulator, "-accel", accelerator, "-m", "16", "-nodefaults", "-no-reboot", "-display", "none"),
        *("-serial", "stdio", "-device", f"isa-debug-exit,iobase={EXIT_PORT:#x},iosize=1"),
        *("-drive", f"file={disk},format=raw,if=floppy,readonly=on"),
    ]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=BOOT_DEADLINE_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise MissingError(
            f"the guest hung for {BOOT_DEADLINE_S:g} s and was killed",
            "switch on nested virtualisation, if virtual",
        ) from None
    complaint = done.stderr.decode(errors="replace").strip().splitlines()
    if complaint and not done.stdout:
        raise MissingError(complaint[-1])
    return done.stdout
