# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels from Debian packages, unpacked as dpkg would lay them out, but into the cache."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harness.errors import UserError
from harness.kernels.kernel import Kernel
from harness.kernels.local import digest, label_of
from harness.kernels.packages import Package, parse, parts, release_of
from harness.kernels.store import cached, full, kept, locked, publish, scratch
from harness.kernels.tools import Progress, complaint, run

__all__ = ["deb_kernel", "unpack"]

NO_SPACE = "No space left on device"


def deb_kernel(name: str, path: Path, progress: Progress) -> Kernel:
    """Return the kernel in a package file, with the parts of it in package files beside that one.

    Raises UserError when the file is no kernel package, is damaged, or other parts are missing.
    """
    path = path.absolute()
    files = _with_parts(path)
    label, origin = label_of("deb", path), digest(files)
    with locked(label, progress):
        entry = cached(label)
        if entry is None or entry.origin != origin:
            progress(f"{name}: unpacking {', '.join(file.name for file in files)}")
            with scratch(label) as tree:
                unpack(files, tree)
                versions = {package.name: package.version for package in files.values()}
                entry = publish(tree, str(path), label, origin, versions)
    return kept(entry, name)


def unpack(files: Iterable[Path], tree: Path) -> None:
    """Unpack package files into one tree; UserError for a damaged one."""
    for file in files:
        done = run("dpkg-deb", "--extract", file, tree)
        if NO_SPACE in done.stderr:
            raise full()
        if done.returncode:
            raise UserError(f"{file} is damaged ({complaint(done.stderr)}): get it again")


def _with_parts(path: Path) -> dict[Path, Package]:
    """Return the package file and those beside it that it needs, directly or not."""
    first = _read(path)
    release = release_of(first.name)
    if release is None:
        raise UserError(f"{path} is the package {first.name}, no kernel (linux-image-RELEASE)")
    if not first.name.startswith("linux-image-"):
        raise UserError(
            f"{path} is a part of a kernel: name linux-image-{release}.deb, with this one beside it"
        )
    beside = {
        (package.name, package.version): file
        for file in sorted(path.parent.glob(f"linux-*-{release}*.deb"))
        if file != path and (package := _read(file))
    }
    files, needed, missing = {path: first}, parts(first), []
    while needed:
        part = needed.pop(0)
        file = beside.get((part, first.version))
        if file is None:
            missing.append(part)
        elif file not in files:
            files[file] = _read(file)
            needed += parts(files[file])
    if missing:
        raise UserError(f"{path} is a part of a kernel: put {_listed(missing)} ({first.version}) beside it")
    return files


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"{name}.deb" for name in dict.fromkeys(names))


def _read(path: Path) -> Package:
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    done = run("dpkg-deb", "--field", path)
    if done.returncode:
        raise UserError(f"{path} is no Debian package, or a damaged one: {complaint(done.stderr)}")
    return parse(done.stdout)[0]
