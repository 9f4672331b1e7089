# SPDX-License-Identifier: GPL-2.0-or-later
"""BTF made by hand, for tests."""

from __future__ import annotations

import struct

__all__ = ["Blob"]

STRUCT, UNION, ENUM, FUNC, FUNC_PROTO, ENUM64 = 4, 5, 6, 12, 13, 19


class Blob:
    """BTF under construction; strings and type numbers follow those of `base`."""

    def __init__(self, base: Blob | None = None) -> None:
        self.first = len(base.strings) if base else 0
        self.strings: bytes = b"" if base else b"\0"
        self.types = b""
        self.count: int = base.count if base else 0

    def type(
        self, kind: int, trailer: bytes, elements: int = 0, flag: int = 0, name: str = "", target: int = 0
    ) -> int:
        """Add a type of any kind and return its number."""
        offset = self.name(name) if name else 0
        self.types += struct.pack("<III", offset, flag | kind << 24 | elements, target) + trailer
        self.count += 1
        return self.count

    def enum(self, members: dict[str, int], flag: int = 0) -> None:
        """Add an anonymous enum."""
        body = b"".join(struct.pack("<II", self.name(n), v & 0xFFFFFFFF) for n, v in members.items())
        self.type(ENUM, body, len(members), flag)

    def enum64(self, members: dict[str, int], flag: int = 0) -> None:
        """Add an anonymous enum of 64 bits."""
        parts = ((self.name(n), v & 0xFFFFFFFF, v >> 32 & 0xFFFFFFFF) for n, v in members.items())
        self.type(ENUM64, b"".join(struct.pack("<III", *p) for p in parts), len(members), flag)

    def struct(self, name: str, members: dict[str, int], kind: int = STRUCT) -> int:
        """Add a structure with members of these types; a member without letters has no name."""
        body = b"".join(
            struct.pack("<III", self.name(n) if n.strip() else 0, t, 0) for n, t in members.items()
        )
        return self.type(kind, body, len(members), name=name)

    def function(self, name: str, *parameters: str) -> None:
        """Add a function."""
        body = b"".join(struct.pack("<II", self.name(p), 0) for p in parameters)
        self.type(FUNC, b"", name=name, target=self.type(FUNC_PROTO, body, len(parameters)))

    def name(self, text: str) -> int:
        """Add a string."""
        self.strings += text.encode() + b"\0"
        return self.first + len(self.strings) - len(text) - 1

    def data(self, header_bytes: int = 24) -> bytes:
        """Return the BTF."""
        sections = (header_bytes, 0, len(self.types), len(self.types), len(self.strings))
        header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, *sections).ljust(header_bytes, b"\0")
        return header + self.types + self.strings
