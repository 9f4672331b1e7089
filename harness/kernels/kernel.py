# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel that cases can run on, and which modules it has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError

__all__ = ["HOST", "Kernel", "module_missing", "modules_folder"]

HOST = "host"
"""The name of the kernel that runs now, on the machine itself."""


@dataclass(frozen=True)
class Kernel:
    """A kernel with its modules, on this machine, ready to be booted."""

    name: str
    """As the user gave it: `host`, `debian:6.12`, a path."""
    label: str
    """Safe as the name of a folder, and of this kernel only: `debian-6.12`."""
    release: str
    """What `uname -r` says on it."""
    image: Path | None
    """The bootable image; None for the host."""
    modules: Path | None
    """The folder D of which `modprobe -d D` takes the modules; None for the host."""
    config: Path | None
    """The .config it was built with, if it is known."""


def modules_folder(root: Path, release: str) -> Path | None:
    """Return where the modules of `release` lie below `root`, None when it has none of them."""
    folders = (root / "lib/modules" / release, root / "usr/lib/modules" / release)
    return next((folder for folder in folders if folder.is_dir()), None)


def module_missing(kernel: Kernel, names: Iterable[str]) -> list[str]:
    """Return which of the modules `names` the kernel has neither built in nor as files to load.

    Taken from modules.builtin and modules.dep (modules.builtin(5), modules.dep(5)); a module in a file counts
    when the file is there, and those of all modules that it needs. Of the host also counts what sysfs and
    /proc/filesystems show, as its modules may lie nowhere. Raises UserError for a kernel whose list of
    modules cannot be read.
    """
    wanted = {name: _plain(name) for name in names}
    known = _present() if kernel.modules is None else set()
    folder = modules_folder(kernel.modules or Path("/"), kernel.release)
    if folder is not None:
        known |= _found(folder, set(wanted.values()))
    elif kernel.modules is not None:
        raise UserError(f"{kernel.name}: the modules of {kernel.release} are not below {kernel.modules}")
    return [name for name, plain in wanted.items() if plain not in known]


def _found(folder: Path, wanted: set[str]) -> set[str]:
    try:
        lines = (folder / "modules.dep").read_text().splitlines()
        list_file = folder / "modules.builtin"
        builtin = list_file.read_text().splitlines() if list_file.exists() else []
    except OSError as error:
        raise UserError(f"the list of modules cannot be read: {error}") from error
    files = (line.replace(":", " ").split() for line in lines if _plain(line.split(":")[0]) in wanted)
    loadable = [module for module, *needed in files if all((folder / f).exists() for f in (module, *needed))]
    return {_plain(path) for path in (*loadable, *builtin)} & wanted


def _present() -> set[str]:
    filesystems = {line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines()}
    return filesystems | {path.name for path in Path("/sys/module").iterdir()}


def _plain(path: str) -> str:
    """Return the name of a module as the kernel has it.

    >>> _plain("kernel/drivers/gpu/drm/drm-shmem.ko.xz")
    'drm_shmem'
    """
    return path.rsplit("/", 1)[-1].split(".ko", 1)[0].replace("-", "_")
