# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's kernel packages: which one is wanted, and which others hold parts of the same kernel.

A release is in one package, linux-image-RELEASE, up to Debian 13; later linux-image-RELEASE depends on
linux-binary-RELEASE (the image), linux-modules-RELEASE and linux-base-RELEASE (what the modules are).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

__all__ = ["Package", "choose", "parse", "parts", "release_of"]

UNSIGNED = "-unsigned"


@dataclass(frozen=True)
class Package:
    """What a package says of itself."""

    name: str
    version: str
    depends: str
    """Fields Depends and Pre-Depends, verbatim."""
    size: int
    """Bytes to download."""
    installed: int
    """Bytes when unpacked, as its makers reckon."""
    architecture: str = "amd64"
    """`all` for what is the same everywhere."""


def parse(text: str) -> list[Package]:
    """Return the packages of stanzas as `apt-cache show` and `dpkg-deb --field` print them."""
    return [_package(stanza) for stanza in re.split(r"\n\s*\n", text) if stanza.strip()]


def _package(stanza: str) -> Package:
    fields = dict(re.findall(r"^([\w-]+):[ \t]*(.*(?:\n[ \t].*)*)", stanza, re.MULTILINE))
    depends = ", ".join(fields[key] for key in ("Depends", "Pre-Depends") if key in fields)
    return Package(
        fields.get("Package", ""),
        fields.get("Version", ""),
        depends,
        int(fields.get("Size", 0)),
        int(fields.get("Installed-Size", 0)) * 1024,
        fields.get("Architecture", "amd64"),
    )


def choose(
    packages: Iterable[Package], series: str | None, newer: Callable[[str, str], bool]
) -> Package | None:
    """Return the newest plain kernel of a series (`6.12`; None: of all), None when there is none.

    Plain is neither rt nor cloud nor debug. The signed package is preferred, as it is the one people run.
    `newer` says whether its first version is the newer one.
    """
    number = re.escape(series) if series else r"\d+\.\d+"
    wanted = re.compile(rf"linux-image-{number}\.\d[\w.+~]*(-\d[\w.+~]*)?-amd64({UNSIGNED})?", re.ASCII)
    found = [package for package in packages if wanted.fullmatch(package.name)]
    best: Package | None = None
    for package in [p for p in found if not p.name.endswith(UNSIGNED)] or found:
        if best is None or newer(package.version, best.version):
            best = package
    return best


def release_of(name: str) -> str | None:
    """Return the release that a package is a part of, None when it is no kernel package.

    >>> release_of("linux-image-6.12.117+deb12-amd64-unsigned")
    '6.12.117+deb12-amd64'
    """
    match = re.fullmatch(r"linux-(?:image|binary|modules|base)-(\d.*?)(?:-unsigned)?", name)
    return match[1] if match else None


def parts(package: Package) -> list[str]:
    """Return the names of the packages with other parts of its kernel, of those that it depends on.

    >>> parts(Package("linux-image-7.2-amd64", "1", "kmod, linux-binary-7.2-amd64 (= 1) | x", 0, 0))
    ['linux-binary-7.2-amd64']
    """
    names = re.findall(r"(?:^|[,|])\s*([a-z0-9][a-z0-9+.-]*)", package.depends)
    release = release_of(package.name)
    return [name for name in dict.fromkeys(names) if release and release_of(name) == release]
