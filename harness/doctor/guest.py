# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether KVM runs guests here: a boot sector of our own has to speak on the serial line, then a kernel.

A /dev/kvm that opens is no proof: in a virtual machine without nested virtualisation guests hang or die. Nor
is the boot sector alone: some machines run sixteen bits of code and nothing that a kernel is made of.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.doctor.probes import MissingError

__all__ = ["KERNEL_WORD", "PROCESSOR", "boot", "boot_sector", "kernel_options", "kvm", "sector_options"]

PROCESSOR = "host"
"""What guests under KVM get for a processor (virtme-run's choice too)."""

WORD = b"iodiff guest is alive\r\n"
KERNEL_WORD = b"Unable to mount root fs"
"""What a kernel says that came up to where it looks for its root, and was given none (mount_root_generic)."""
BOOT_DEADLINE_S: float = 10
SECTOR_BYTES = 512
NESTED = "switch on nested virtualisation, if virtual"
EXIT_PORT = 0xF4
"""Of QEMU's isa-debug-exit: writing v ends QEMU with code 2v + 1."""


def kvm(kernel: Path | None = None) -> str:
    """Boot a boot sector under KVM, and `kernel`, an image for QEMU, if there is one."""
    emulator = _find_emulator()
    _open_kvm()
    with TemporaryDirectory(prefix="iodiff-doctor-") as folder:
        disk = Path(folder) / "boot.img"
        disk.write_bytes(boot_sector())
        _expect(WORD, emulator, sector_options(disk))
    if kernel is None:
        return "a boot sector ran; no kernel is fetched to try one"
    _expect(KERNEL_WORD, emulator, kernel_options(kernel))
    return f"a guest booted {kernel.name}"


def _open_kvm() -> None:
    os.close(os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC))


def _expect(word: bytes, emulator: str, options: Sequence[str]) -> None:
    if word not in boot(emulator, "kvm", ["-cpu", PROCESSOR, *options]):
        raise MissingError("the guest ended without its word", NESTED)


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


def sector_options(disk: Path) -> list[str]:
    """Return QEMU's options for a guest that boots from `disk`."""
    return [
        *("-m", "16", "-device", f"isa-debug-exit,iobase={EXIT_PORT:#x},iosize=1"),
        *("-drive", f"file={disk},format=raw,if=floppy,readonly=on"),
    ]


def kernel_options(image: Path) -> list[str]:
    """Return QEMU's options for a guest that boots the kernel `image`, without a root."""
    line = "console=ttyS0 panic=-1 mitigations=off"
    return ["-m", "512", "-smp", "2", "-kernel", str(image), "-append", line]


def boot(emulator: str, accelerator: str, options: Sequence[str]) -> bytes:
    """Return what the guest says on its serial line."""
    command = [
        *(emulator, "-accel", accelerator, "-nodefaults", "-no-reboot", "-display", "none"),
        *("-serial", "stdio", *options),
    ]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=BOOT_DEADLINE_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise MissingError(f"the guest hung for {BOOT_DEADLINE_S:g} s and was killed", NESTED) from None
    complaint = done.stderr.decode(errors="replace").strip().splitlines()
    if complaint and not done.stdout:
        raise MissingError(complaint[-1], NESTED)
    return done.stdout
