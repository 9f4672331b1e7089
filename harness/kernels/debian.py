# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels of Debian's archive, fetched into the cache."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import UserError
from harness.kernels.apt import Apt
from harness.kernels.debs import unpack
from harness.kernels.packages import Package, choose, parts
from harness.kernels.sources import Source, archive, machine_sources, stanzas_for
from harness.kernels.store import Entry, cached, folder, locked, publish, scratch
from harness.kernels.tools import Progress, complaint, human, run

__all__ = ["SUITES", "debian_kernel", "places", "sites"]

SUITES: dict[str, tuple[tuple[str, ...], ...]] = {
    "5.10": (("bullseye", "bullseye-security"),),
    "6.1": (("bookworm", "bookworm-security"),),
    "6.12": (("bookworm", "bookworm-security"), ("trixie", "trixie-security")),
    "sid": (("sid",),),
}
"""Where each series is: in the first of these groups of suites that has any of it."""

SLACK = 64 * 2**20
"""Bytes for what is not reckoned: the index of the modules, folders, the log of the file system."""

ELSE = "give a vmlinuz or a linux-image .deb by its path instead"


def _label(series: str) -> str:
    """Return the label of a series of Debian kernels."""
    return f"debian-{series}"


def debian_kernel(name: str, series: str, progress: Progress) -> Entry:
    """Return the newest kernel of a series: the one in the cache, else the one in the archive.

    Raises UserError when it cannot be had, in which case nothing but a download to go on with is left.
    """
    label = _label(series)
    with locked(label, progress):
        entry = cached(label)
        if entry is None:
            with _workshop(label) as work:
                entry = _fetch(name, series, work, progress)
            progress(f"{name}: {entry.release} is ready, {human(entry.size)}")
    return entry


@contextmanager
def _workshop(label: str) -> Iterator[Path]:
    """Give the folder for a fetch, which outlives a failure if there is a download in it to go on with."""
    work = folder() / ".work" / label
    done = False
    try:
        yield work
        done = True
    finally:
        if done or not any((work / "debs").glob("*")):
            shutil.rmtree(work, ignore_errors=True)


def _fetch(name: str, series: str, work: Path, progress: Progress) -> Entry:
    _check_architecture()
    main, security = sites()
    for suites in SUITES[series]:
        found = places(main, security, suites)
        progress(f"{name}: reading the package lists of {', '.join(found)} at {main.shown}")
        apt = Apt(work, "".join(stanzas_for(site, [suite], "amd64") for suite, site in found.items()))
        apt.update()
        packages = _packages(apt, None if series == "sid" else series)
        if packages:
            break
    else:
        shutil.rmtree(work, ignore_errors=True)
        raise UserError(
            f"{name} is gone from the archive ({main.shown}): {ELSE}, or take another of the catalogue"
        )
    _check_space(packages)
    files = apt.download(packages, lambda line: progress(f"{name}: {line}"))
    progress(f"{name}: unpacking, indexing the modules")
    with scratch(_label(series)) as tree:
        unpack(files, tree)
        versions = {package.name: package.version for package in packages}
        return publish(tree, name, _label(series), "", versions)


def _check_architecture() -> None:
    architecture = run("dpkg", "--print-architecture").stdout.strip()
    if architecture != "amd64":
        raise UserError(f"Debian's kernels are fetched for amd64 only, not for {architecture}")


def sites() -> tuple[Source, Source | None]:
    """Return where Debian's archive is, and that of its security updates; UserError without the first."""
    sources = machine_sources()
    main = archive(sources, security=False)
    if main is None:
        raise UserError(f"this machine's apt has no source of Debian in /etc/apt: {ELSE}")
    return main, archive(sources, security=True)


def places(main: Source, security: Source | None, suites: Iterable[str]) -> dict[str, Source]:
    """Return where each suite is; those of security updates are nowhere when apt has no source of them."""
    found = {suite: security if suite.endswith("-security") else main for suite in suites}
    return {suite: site for suite, site in found.items() if site is not None}


def _packages(apt: Apt, series: str | None) -> list[Package]:
    """Return the packages of the series' newest kernel, none when the lists have none of it."""
    first = choose(apt.packages(apt.names("linux-image-")), series, _newer)
    found = [first] if first else []
    for package in found:
        known = {p.name for p in found}
        missing = [part for part in parts(package) if part not in known]
        found += [part for part in apt.packages(missing) if part.name in missing]
    return found


def _newer(version: str, other: str) -> bool:
    done = run("dpkg", "--compare-versions", version, "gt", other)
    if done.returncode not in (0, 1):
        raise UserError(f"dpkg fails: {complaint(done.stderr)}")
    return done.returncode == 0


def _check_space(packages: list[Package]) -> None:
    needed = sum(package.size + package.installed for package in packages) + SLACK
    free = shutil.disk_usage(folder()).free
    if free < needed:
        raise UserError(
            f"{folder()} has {human(free)} free, {human(needed)} are needed: free some, or set XDG_CACHE_HOME"
        )
