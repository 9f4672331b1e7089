# SPDX-License-Identifier: GPL-2.0-or-later
"""Small kernels for tests, and stand-ins for the machine's tools: no network, no real image."""

from __future__ import annotations

import subprocess
from pathlib import Path

from harness.kernels.bzimage import BOOT_FLAG, HEADER, HEADER_AT, KERNEL_VERSION_BASE, MAGIC, SECTOR

__all__ = ["FAKE_DEPMOD", "bzimage", "deb", "modules", "tool", "unpacked"]

# depmod's part in the tests: a line for each module below the root, links followed as depmod does.
FAKE_DEPMOD = """\
[ "$1" = -b ] && cd "$2/lib/modules/$3" || exit 1
find -L . -name '*.ko' | sed 's,^./,,; s,$,:,' > modules.dep
"""


def bzimage(release: str, *, at: int = 0x400) -> bytes:
    """Return the head of an image as the boot protocol has it; `at` is where the release stands."""
    image = bytearray(5 * SECTOR)
    HEADER.pack_into(image, HEADER_AT, BOOT_FLAG, 0, MAGIC, 0x20F, 0, 0, at - KERNEL_VERSION_BASE)
    text = f"{release} (me@there) #1 SMP\0".encode()
    image[at : at + len(text)] = text
    return bytes(image)


def modules(folder: Path, names: tuple[str, ...] = ("btrfs", "loop")) -> None:
    """Fill a folder of modules: files to load, and bcache built in."""
    for name in names:
        (folder / "kernel/fs").mkdir(parents=True, exist_ok=True)
        (folder / "kernel/fs" / f"{name}.ko").touch()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "modules.builtin").write_text("kernel/drivers/md/bcache/bcache.ko\n")
    (folder / "modules.order").write_text("".join(f"kernel/fs/{name}.ko\n" for name in names))


def unpacked(root: Path, release: str, *, lib: str = "lib") -> Path:
    """Make a kernel as a package unpacks it, and return its image."""
    (root / "boot").mkdir(parents=True)
    modules(root / lib / "modules" / release)
    (root / "boot" / f"config-{release}").write_text("CONFIG_BTRFS_FS=m\n")
    image = root / "boot" / f"vmlinuz-{release}"
    image.write_bytes(bzimage(release))
    return image


def tool(folder: Path, name: str, script: str) -> None:
    """Put a shell script into a folder of PATH, in the place of the machine's tool."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}")
    (folder / name).chmod(0o755)


def deb(folder: Path, name: str, version: str, tree: Path, depends: str = "") -> Path:
    """Build a package of a tree and return its file."""
    control = f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: me\nDescription: x\n"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(control + (f"Depends: {depends}\n" if depends else ""))
    file = folder / f"{name}_{version}_amd64.deb"
    build = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(tree), str(file)]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    return file
