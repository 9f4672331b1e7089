# SPDX-License-Identifier: GPL-2.0-or-later
"""Which package is chosen, and where apt's sources say that Debian is."""

from __future__ import annotations

import doctest
from pathlib import Path
from types import ModuleType

import pytest

from harness.kernels import kernel, local, packages, sources, tools
from harness.kernels.packages import Package, choose, parse, parts
from harness.kernels.sources import Source, archive, one_line, stanzas, stanzas_for


def package(name: str, version: str = "1") -> Package:
    return Package(name, version, "", 0, 0)


def newer(version: str, other: str) -> bool:
    return [int(part) for part in version.split(".")] > [int(part) for part in other.split(".")]


def chosen(series: str | None, *packages: Package) -> str | None:
    found = choose(packages, series, newer)
    return found.name if found else None


def test_stanzas_of_packages() -> None:
    text = (
        "Package: linux-image-6.12.1-amd64\nVersion: 6.12.1-1~deb12u1\nInstalled-Size: 2\nSize: 30\n"
        "Depends: kmod, linux-base (>= 4.3~),\n linux-binary-6.12.1-amd64\nPre-Depends: x\n"
        "Description: words\n Package: no field\n\nPackage: b\nVersion: 2\n"
    )
    first, second = parse(text)
    assert (first.name, first.version) == ("linux-image-6.12.1-amd64", "6.12.1-1~deb12u1")
    assert (first.size, first.installed) == (30, 2048)
    assert parts(first) == ["linux-binary-6.12.1-amd64"]
    assert (second.name, second.depends) == ("b", "")


def test_the_newest_of_the_series_is_chosen() -> None:
    old, new = package("linux-image-6.1.0-9-amd64", "6.1.9"), package("linux-image-6.1.0-10-amd64", "6.1.10")
    other = package("linux-image-6.12.7+deb12-amd64", "6.12.7")
    assert chosen("6.1", old, new, other) == chosen("6.1", other, new, old) == new.name
    assert chosen("6.12", old, new, other) == other.name
    assert chosen(None, old, new, other) == other.name
    assert chosen("5.10", old, new, other) is None


@pytest.mark.parametrize(
    "name",
    [
        "linux-image-6.12.7+deb12-rt-amd64",
        "linux-image-6.12.7+deb12-cloud-amd64",
        "linux-image-6.12.7+deb12-amd64-dbg",
        "linux-image-6.1.0-9-cloud-amd64",
        "linux-image-6.12-amd64",
        "linux-image-amd64",
        "linux-image-6.12.7-arm64",
        "linux-headers-6.12.7-amd64",
    ],
)
def test_other_flavours_are_not_chosen(name: str) -> None:
    assert choose([package(name)], None, newer) is None


def test_an_unsigned_kernel_is_chosen_for_want_of_a_signed_one() -> None:
    signed, unsigned = (
        package("linux-image-6.1.0-9-amd64"),
        package("linux-image-6.1.0-9-amd64-unsigned", "2"),
    )
    assert chosen("6.1", unsigned, signed) == signed.name
    assert chosen("6.1", unsigned) == unsigned.name


def test_only_parts_of_the_same_kernel_are_followed() -> None:
    depends = "linux-base (>= 4), linux-base-7.2.1-amd64 (= 1) | y, "
    depends += "linux-modules-7.2.1-amd64, linux-base-7.2.2-amd64"
    found = parts(Package("linux-image-7.2.1-amd64-unsigned", "1", depends, 0, 0))
    assert found == ["linux-base-7.2.1-amd64", "linux-modules-7.2.1-amd64"]


DEB822 = """\
# a comment: here
Types: deb deb-src
URIs: http://mirror.example/debian/ http://second.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By:
 /usr/share/keyrings/x.gpg

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: http://source.example/debian
Suites: bookworm
Components: main
"""


def test_deb822_sources() -> None:
    first, second = stanzas(DEB822)
    assert (first.uri, second.uri) == ("http://mirror.example/debian/", "http://second.example/debian")
    assert (first.suites, first.components) == (("bookworm", "bookworm-updates"), ("main", "contrib"))
    assert first.options["signed-by"] == "/usr/share/keyrings/x.gpg"


def test_one_line_sources() -> None:
    text = (
        "# deb http://no.example/debian sid main\n"
        "deb [ Signed-By=/K.gpg check-valid-until=no ] http://a.example/debian sid main contrib # x\n"
        "deb-src http://b.example/debian sid main\n"
        "deb http://c.example/debian-security bookworm-security main\n"
    )
    first, second = one_line(text)
    assert (first.uri, first.suites, first.components) == (
        "http://a.example/debian",
        ("sid",),
        ("main", "contrib"),
    )
    assert first.options["signed-by"] == "/K.gpg"
    assert first.options["check-valid-until"] == "no"
    assert (second.uri, second.options) == ("http://c.example/debian-security", {})


def test_debian_is_told_from_others() -> None:
    ours = one_line(
        "deb http://php.example/php bookworm main\n"
        "deb https://docker.example/linux/debian bookworm stable\n"
        "deb http://sql.example/debian bookworm-sql main\n"
        "deb http://m.example/debian bookworm main\n"
        "deb http://m.example/debian-security bookworm-security main\n"
    )
    main, security = archive(ours, security=False), archive(ours, security=True)
    assert main is not None
    assert security is not None
    assert (main.uri, security.uri) == ("http://m.example/debian", "http://m.example/debian-security")
    ubuntu = one_line(
        "deb http://u.example/ubuntu noble main\ndeb http://u.example/ubuntu noble-security main\n"
    )
    assert archive(ubuntu, security=False) is None
    assert archive(ubuntu, security=True) is None


def test_other_suites_of_a_source_are_always_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "KEYRINGS", (str(tmp_path / "none"),))
    options = {"signed-by": "/k.gpg", "trusted": "yes", "check-valid-until": "no"}
    source = Source("http://me:secret@m.example/debian", ("bookworm",), ("main",), options)
    text = stanzas_for(source, ["sid"], "amd64")
    (again,) = stanzas(text)
    assert (again.uri, again.suites) == (source.uri, ("sid",))
    assert "Signed-By: /k.gpg" in text
    assert "Check-Valid-Until: no" in text or "check-valid-until: no" in text
    assert "rusted" not in text
    assert source.shown == "http://m.example/debian"
    (tmp_path / "none").touch()
    assert f"Signed-By: {tmp_path / 'none'}" in stanzas_for(source, ["sid"], "amd64")


@pytest.mark.parametrize("module", [kernel, local, packages, tools])
def test_the_examples_in_the_words(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
