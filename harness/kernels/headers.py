# SPDX-License-Identifier: GPL-2.0-or-later
"""What a module that looks into btrfs is built against: a Debian kernel's headers, and btrfs's own.

<cache>/iodiff/headers/RELEASE/usr/...   as unpacked from linux-headers-*, linux-kbuild-*
                               btrfs/    fs/btrfs/*.h of linux-source-SERIES
"""

from __future__ import annotations

import re
import shutil
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError
from harness.kernels.apt import Apt
from harness.kernels.debian import SUITES, places, sites
from harness.kernels.debs import unpack
from harness.kernels.packages import Package
from harness.kernels.sources import stanzas_for
from harness.kernels.tools import Progress, find
from harness.user_cache import user_cache

__all__ = ["Headers", "headers_for"]

RELEASE = re.compile(r"(\d+\.\d+)\.\d+-\d+-amd64")
"""That of a Debian kernel whose headers are known to be in three packages."""


@dataclass(frozen=True)
class Headers:
    """Where they are."""

    build: Path
    """For `make -C`."""
    btrfs: Path
    """fs/btrfs of the kernel's source."""


def headers_for(release: str, progress: Progress) -> Headers:
    """Return the headers of a Debian kernel, fetched if they are not in the cache; and try for a compiler.

    UserError says which package is missing, or why they cannot be had.
    """
    for tool in ("gcc", "make"):
        find(tool)
    folder = user_cache().absolute() / "headers" / release
    if not folder.exists():
        _fetch(release, folder, progress)
    return Headers(folder / "usr/src" / f"linux-headers-{release}", folder / "btrfs")


def _fetch(release: str, target: Path, progress: Progress) -> None:
    match = RELEASE.fullmatch(release)
    if match is None or match[1] not in SUITES:
        raise UserError(
            f"no headers are known for {release}, only for kernels of Debian ({', '.join(SUITES)})"
        )
    series = match[1]
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="making-", dir=target.parent) as scratch:
        work = Path(scratch)
        files = _download(release, series, work / "apt", progress)
        progress(f"{release}: unpacking headers and btrfs's source")
        tree = work / "tree"
        tree.mkdir()
        unpack(files, tree)
        _point(tree, release, target)
        _extract_btrfs(tree, series)
        tree.rename(target)


def _download(release: str, series: str, work: Path, progress: Progress) -> list[Path]:
    main, security = sites()
    found = places(main, security, SUITES[series][0])
    apt = Apt(work, "".join(stanzas_for(site, [suite], "amd64") for suite, site in found.items()))
    apt.update()
    names = _packages(release, series)
    packages = apt.packages(names)
    _check(release, names, packages)
    return apt.download(packages, lambda line: progress(f"{release}: {line}"))


def _packages(release: str, series: str) -> list[str]:
    """Return the packages that are needed.

    >>> _packages("5.10.0-46-amd64", "5.10")[:2]
    ['linux-headers-5.10.0-46-amd64', 'linux-headers-5.10.0-46-common']
    """
    common = release.removesuffix("-amd64")
    return [
        f"linux-headers-{release}",
        f"linux-headers-{common}-common",
        f"linux-kbuild-{series}",
        f"linux-source-{series}",
    ]


def _check(release: str, names: list[str], packages: list[Package]) -> None:
    versions = {package.name: package.version for package in packages}
    if missing := [name for name in names if name not in versions]:
        raise UserError(
            f"the archive has no {missing[0]}: remove the kernel and fetch it again, to get the archive's own"
        )
    source, headers = versions[names[-1]], versions[names[0]]
    if source != headers:
        raise UserError(
            f"the archive has btrfs's source of {source}, but {release} is {headers}: "
            "remove the kernel and fetch it again"
        )


def _point(tree: Path, release: str, target: Path) -> None:
    """Have the headers look for their common part where they will be, not in /usr/src."""
    makefile = tree / "usr/src" / f"linux-headers-{release}" / "Makefile"
    makefile.write_text(makefile.read_text().replace("/usr/src/", f"{target}/usr/src/"))


def _extract_btrfs(tree: Path, series: str) -> None:
    archive = tree / "usr/src" / f"linux-source-{series}.tar.xz"
    prefix = f"linux-source-{series}/fs/btrfs/"
    (tree / "btrfs").mkdir()
    with tarfile.open(archive, "r|xz") as source:
        for member in source:
            name = member.name.removeprefix(prefix)
            if member.isfile() and name != member.name and name.endswith(".h") and "/" not in name:
                data = source.extractfile(member)
                assert data is not None
                with (tree / "btrfs" / name).open("wb") as file:
                    shutil.copyfileobj(data, file)
    archive.unlink()
