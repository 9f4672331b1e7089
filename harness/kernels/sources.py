# SPDX-License-Identifier: GPL-2.0-or-later
"""Where this machine's apt gets Debian from: the sites, read from its sources (sources.list(5)).

Read from the files, as `apt-get indextargets` says nothing before the first `apt-get update`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError
from harness.kernels.tools import complaint, run

__all__ = ["Source", "archive", "machine_sources", "one_line", "stanzas", "stanzas_for"]

SUITES = {
    *("buster", "bullseye", "bookworm", "trixie", "forky", "duke", "sid"),
    *("oldoldstable", "oldstable", "stable", "testing", "unstable"),
}
DERIVED = ("-updates", "-backports", "-proposed-updates")
SECURITY = ("-security", "/updates")
KEYRINGS = ("debian-archive-keyring.pgp", "debian-archive-keyring.gpg")
DATES = ("check-valid-until", "check-date")
"""Options of a source that hold for its other suites as well: a frozen copy of the archive needs them."""


@dataclass(frozen=True)
class Source:
    """One place that apt looks at."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    options: dict[str, str]
    """By their names as of deb822, in small letters: `signed-by`."""

    @property
    def shown(self) -> str:
        """The URI for people to read, without a password that it may hold."""
        return re.sub(r"//[^/@]*@", "//", self.uri)


def machine_sources() -> list[Source]:
    """Return the binary sources of this machine's apt; UserError when apt does not tell them."""
    settings = run(
        "apt-config", "shell", "FILE", "Dir::Etc::sourcelist/f", "FOLDER", "Dir::Etc::sourceparts/d"
    )
    if settings.returncode:
        raise UserError(f"apt's configuration is broken: {complaint(settings.stderr)}")
    places = dict(word.split("=", 1) for word in shlex.split(settings.stdout))
    main, folder = Path(places.get("FILE", "/nowhere")), Path(places.get("FOLDER", "/nowhere"))
    found: list[Source] = []
    for path in [main, *sorted(folder.glob("*"))]:
        if path.suffix in (".list", ".sources") and path.is_file():
            text = path.read_text(errors="replace")
            found += stanzas(text) if path.suffix == ".sources" else one_line(text)
    return found


def stanzas(text: str) -> list[Source]:
    """Return the sources of a file in deb822 format."""
    text = re.sub(r"^#.*\n?", "", text, flags=re.MULTILINE)
    found: list[Source] = []
    for stanza in re.split(r"\n[ \t]*\n", text):
        pairs = re.findall(r"^([\w-]+):[ \t]*(.*(?:\n[ \t].*)*)", stanza, re.MULTILINE)
        fields = {key.lower(): value.strip() for key, value in pairs}
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").lower() != "no":
            suites, components = (tuple(fields.pop(key, "").split()) for key in ("suites", "components"))
            found += [Source(uri, suites, components, fields) for uri in fields.pop("uris", "").split()]
    return found


def one_line(text: str) -> list[Source]:
    """Return the sources of a file in the one-line format."""
    found: list[Source] = []
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[([^]]*)\]\s*)?(\S+)\s+(\S+)\s*([^#]*)", line)
        if match:
            options = dict(word.lower().split("=", 1) for word in (match[1] or "").split() if "=" in word)
            # Paths keep their case; all else is the same in small letters.
            options |= {k.lower(): v for k, v in re.findall(r"(signed-by)=(\S+)", match[1] or "", re.I)}
            found.append(Source(match[2], (match[3],), tuple(match[4].split()), options))
    return found


def archive(sources: Iterable[Source], *, security: bool) -> Source | None:
    """Return Debian's archive, or the archive of its security updates, of `sources`; None without one.

    Others name their suites like Debian as well: signed with Debian's keys, or called debian, comes first.
    """
    found = [source for source in sources if "main" in source.components and _has(source, security)]
    return min(found, key=_strangeness, default=None)


def _has(source: Source, security: bool) -> bool:
    if source.uri.startswith("cdrom:"):
        return False
    if security:
        return any(suite.removesuffix(end) in SUITES for suite in source.suites for end in _ends(suite))
    return any(suite in SUITES or _derived(suite) for suite in source.suites)


def _ends(suite: str) -> list[str]:
    return [end for end in SECURITY if suite.endswith(end)]


def _derived(suite: str) -> bool:
    return any(suite.removesuffix(end) in SUITES for end in DERIVED if suite.endswith(end))


def _strangeness(source: Source) -> int:
    signed = "debian-archive" in source.options.get("signed-by", "")
    called = source.uri.rstrip("/").rsplit("/", 1)[-1].startswith("debian")
    return 2 * (not signed) + (not called)


def stanzas_for(source: Source, suites: Iterable[str], architecture: str) -> str:
    """Return the deb822 stanza for other suites of a source: packages only, signatures always checked."""
    keyring = next((path for name in KEYRINGS if (path := Path("/usr/share/keyrings") / name).exists()), None)
    signed_by = keyring or source.options.get("signed-by")
    lines = [
        "Types: deb",
        f"URIs: {source.uri}",
        f"Suites: {' '.join(suites)}",
        "Components: main",
        f"Architectures: {architecture}",
        "Targets: Packages",
        *([f"Signed-By: {signed_by}"] if signed_by else []),
        *(f"{option}: {source.options[option]}" for option in DATES if option in source.options),
    ]
    return "\n".join(lines) + "\n\n"
