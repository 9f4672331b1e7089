# SPDX-License-Identifier: GPL-2.0-or-later
"""Numbers and foreign strings as people read them. What is missing reads `unknown`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = [
    "UNKNOWN",
    "count",
    "dig",
    "duration",
    "latency",
    "mapping",
    "plain",
    "plural",
    "printable",
    "rate",
    "short",
    "size",
]

UNKNOWN = "unknown"


def dig(data: Any, *keys: str) -> Any:
    """Return `data[key1][key2]…`, or None where the path ends early: manifests are not ours to trust."""
    for key in keys:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data


def mapping(data: Any, *keys: str) -> Mapping[str, Any]:
    """Return the object at that path, empty when there is none."""
    found = dig(data, *keys)
    return found if isinstance(found, Mapping) else {}


def plain(value: Any) -> str | None:
    """Return `value` if it is a string with something in it, else None."""
    return value if isinstance(value, str) and value else None


def printable(text: str) -> str:
    """Make a foreign string safe to print: what is not printable (ESC, NUL, bidi marks) is spelled out.

    >>> printable("a" + chr(27) + "[31m")
    'a\\\\x1b[31m'
    """
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def count(number: Any) -> str:
    """Whole number with thousands separated.

    >>> count(1234567)
    '1,234,567'
    """
    return f"{number:,}" if isinstance(number, int) else UNKNOWN


def plural(number: int, noun: str) -> str:
    """Count and noun.

    >>> plural(1, "case"), plural(2000, "case")
    ('1 case', '2,000 cases')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size(number: Any) -> str:
    """Bytes in binary units.

    >>> size(2 << 30), size(1536), size(12)
    ('2 GiB', '1.5 KiB', '12 B')
    """
    if not isinstance(number, int | float):
        return UNKNOWN
    units = ["B", "KiB", "MiB", "GiB", "TiB"]
    power = 0
    while abs(number) >= 1024 and power < len(units) - 1:
        number, power = number / 1024, power + 1
    return f"{number:.4g} {units[power]}" if number < 1000 else f"{number:.0f} {units[power]}"


def short(number: float) -> str:
    """A few digits and a decimal prefix, for axes.

    >>> short(120000), short(2500000), short(0), short(0.25)
    ('120 k', '2.5 M', '0', '0.25')
    """
    for factor, prefix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(number) >= factor:
            return f"{number / factor:.4g}{prefix}"
    return f"{number:.4g}"


def rate(number: Any) -> str:
    """Something a second, rounded as far as it can be trusted.

    >>> rate(15500.4), rate(0.25)
    ('15,500', '0.25')
    """
    if not isinstance(number, int | float):
        return UNKNOWN
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def duration(seconds: Any) -> str:
    """Seconds; minutes from a minute on.

    >>> duration(12.123), duration(192), duration(0.0123)
    ('12.1 s', '3 min 12 s', '0.01 s')
    """
    if not isinstance(seconds, int | float):
        return UNKNOWN
    if seconds >= 59.95:
        return f"{round(seconds) // 60} min {round(seconds) % 60} s"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds:.2f} s"


def latency(ns: Any) -> str:
    """Nanoseconds in the unit that fits.

    >>> latency(52992), latency(812), latency(2.5e6), latency(3e9)
    ('53 µs', '812 ns', '2.5 ms', '3 s')
    """
    if not isinstance(ns, int | float):
        return UNKNOWN
    for factor, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if ns >= factor:
            return f"{ns / factor:.3g} {unit}"
    return f"{ns:.3g} ns"
