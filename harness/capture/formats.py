# SPDX-License-Identifier: GPL-2.0-or-later
"""What a trace event's `format` file says: its number, where its fields are, and names of values.

    ID: 1234
    format:
            field:u8 fsid[16];      offset:8;       size:16;        signed:0;
            field:unsigned owner;   offset:24;      size:4; signed:0;

    print fmt: "...", __print_symbolic(REC->owner, {3, "INODE_IO"}), REC->ino,
        __print_flags(REC->set_bits, "|", { (1U << 2), "LOCKED"})

Older kernels know their bits and owners nowhere else: there they are no enumerators, so not in BTF.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InfrastructureError, UserError

__all__ = ["EventFormat", "find_events", "read_format"]

TRACEFS = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
_FIELD = re.compile(r"field:.*?(\w+)(?:\[\d+\])?;\s*offset:(\d+);\s*size:(\d+);")
# One entry of a list of values. One that is not a number (an enumerator that stayed a name) is not matched.
_ENTRY = re.compile(
    r'\{\s*(?:\(1UL*\s*<<\s*(?P<shift>\d+)\)|(?P<number>0x[0-9a-f]+|\d+))\s*,\s*"(?P<name>\w+)"\s*\}'
)


@dataclass(frozen=True)
class EventFormat:
    """One trace event as it is recorded."""

    number: int
    fields: Mapping[str, int]
    """Offsets in bytes."""
    values: Mapping[str, Mapping[str, int]]
    """Names and values that the event prints a field by, for fields that have them."""


def find_events() -> Path:
    """Return the folder of btrfs's trace events. Raises UserError where no tracefs is mounted or has any."""
    mounted = [place for place in TRACEFS if (place / "events").is_dir()]
    if not mounted:
        raise UserError(f"no tracefs is mounted: mount -t tracefs tracefs {TRACEFS[0]}")
    events = mounted[0] / "events" / "btrfs"
    if not events.is_dir():
        raise UserError(f"{mounted[0]} has no events of btrfs: modprobe btrfs, or use a kernel with btrfs")
    return events


def read_format(events: Path, name: str) -> EventFormat:
    """Read the format of event `name` in the folder `events`.

    Raises UserError where there is no such event, InfrastructureError where its format is not understood.
    """
    try:
        text = (events / name / "format").read_text()
    except FileNotFoundError:
        raise UserError(f"this kernel has no tracepoint btrfs:{name}: use a kernel with btrfs") from None
    number = re.search(r"^ID: (\d+)$", text, re.MULTILINE)
    if number is None:
        raise InfrastructureError(f"the format of btrfs:{name} has no ID")
    fields = {field: int(offset) for field, offset, _ in _FIELD.findall(text)}
    return EventFormat(int(number[1]), fields, {field: _values(text, field) for field in fields})


def _values(text: str, field: str) -> dict[str, int]:
    printed = re.search(rf"__print_(?:flags|symbolic)\(REC->{field}\s*,(.*?\}})\s*\)", text, re.DOTALL)
    entries = _ENTRY.finditer(printed[1]) if printed else ()
    return {e["name"]: 1 << int(e["shift"]) if e["shift"] else int(e["number"], 0) for e in entries}
