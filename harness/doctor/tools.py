# SPDX-License-Identifier: GPL-2.0-or-later
"""The system's tools and libraries, asked for their versions and put to a small use."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import sysconfig

from harness.doctor.probes import MissingError

__all__ = [
    "FIO_MINIMUM",
    "btrfs_progs",
    "busybox",
    "clang",
    "clang_present",
    "emulator",
    "fio",
    "libbpf",
    "mkfs_btrfs",
    "run",
]

FIO_MINIMUM = (3, 28)
"""Oldest fio whose JSON and options are known to serve."""

PACKAGES = {
    "btrfs": "btrfs-progs",
    "mkfs.btrfs": "btrfs-progs",
    "qemu-system-x86_64": "qemu-system-x86",
}
"""Packages that are not called like their program (Debian's names)."""

INCLUDES_LIBBPF = "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"


def fio() -> str:
    """Return fio's version."""
    answer = run("fio", "--version").strip()
    match = re.match(r"fio-(\d+)\.(\d+)", answer)
    if match is None:
        raise MissingError(f"fio gives its version as {answer!r}", "install a released fio")
    if (int(match[1]), int(match[2])) < FIO_MINIMUM:
        raise MissingError(f"{answer} is too old", "install fio {}.{} or newer".format(*FIO_MINIMUM))
    return answer.removeprefix("fio-")


def mkfs_btrfs() -> str:
    """Return the path of mkfs.btrfs."""
    return _find("mkfs.btrfs")


def btrfs_progs() -> str:
    """Return the version of btrfs-progs, of which mkfs.btrfs and btrfs are both there."""
    mkfs_btrfs()
    match = re.search(r"v(\d\S*)", run("btrfs", "--version"))
    if match is None:
        raise MissingError("btrfs --version gives no version", "install btrfs-progs again")
    return match[1]


def clang_present() -> str:
    """Return the path of clang."""
    return _find("clang")


def clang() -> str:
    """Return clang's version, after it has compiled libbpf's headers for BPF."""
    # clang does not look into the multiarch folder (asm/types.h) for the bpf target.
    multiarch = sysconfig.get_config_var("MULTIARCH")
    includes = [f"-I/usr/include/{multiarch}"] if multiarch else []
    command = [clang_present(), *includes, "-target", "bpf", "-x", "c", "-c", "-", "-o", "/dev/null"]
    done = subprocess.run(
        command, input=INCLUDES_LIBBPF, capture_output=True, text=True, timeout=30, check=False
    )
    if done.returncode:
        first = next((line for line in done.stderr.splitlines() if "error:" in line), "it fails")
        raise MissingError(
            f"clang does not compile for BPF: {first}", "install libbpf's headers (libbpf-dev, libbpf-devel)"
        )
    match = re.search(r"version (\S+)", run("clang", "--version"))
    return match[1] if match else "version unknown"


def emulator() -> str:
    """Return QEMU's version."""
    match = re.search(r"version (\S+)", run("qemu-system-x86_64", "--version"))
    return match[1] if match else "version unknown"


def busybox() -> str:
    """Return the path of the busybox with which virtme-ng builds a guest's first file system."""
    names = ("busybox-static", "busybox.static", "busybox")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        raise MissingError("busybox is not installed", "install the package busybox-static")
    return found


def libbpf() -> str:
    """Return the version of the libbpf that the loader gets."""
    try:
        library = ctypes.CDLL("libbpf.so.1")
    except OSError as error:
        raise MissingError(str(error), "install libbpf 1.0 or newer (package libbpf1, libbpf)") from None
    library.libbpf_version_string.restype = ctypes.c_char_p
    return str(library.libbpf_version_string().decode().removeprefix("v"))


def run(name: str, *arguments: str) -> str:
    """Run a tool to its end and return what it prints; MissingError when it is missing or fails."""
    done = subprocess.run(
        [_find(name), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    if done.returncode:
        complaint = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[0]
        raise MissingError(f"{name} fails: {complaint}")
    return done.stdout


def _find(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        package = PACKAGES.get(name, name)
        raise MissingError(
            f"{name} is not installed",
            f"install the package {package} (./iodiff does, started by root on Debian or Ubuntu)",
        )
    return found
