# SPDX-License-Identifier: GPL-2.0-or-later
"""Enumerators, structures and functions of the running kernel, read from its BTF.

Bits of an extent_state are anonymous enums that move between kernels, so their values are looked up in the
running kernel and stored in the bundle. Format: Documentation/bpf/btf.rst.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from harness.errors import UserError

__all__ = ["BTF_FOLDER", "Btf", "load_btf"]

BTF_FOLDER = Path("/sys/kernel/btf")

# struct btf_header: u16 magic, u8 version, u8 flags, u32 hdr_len, type_off, type_len, str_off, str_len
_HEADER = struct.Struct("<HBBIIIII")
_MAGIC = 0xEB9F
# struct btf_type: u32 name_off, info (vlen 0-15, kind 24-28, kind_flag 31), size or type
_TYPE = struct.Struct("<III")
# struct btf_enum: u32 name_off, val; struct btf_enum64: u32 name_off, val_lo32, val_hi32
_ENUM = struct.Struct("<II")
_ENUM64 = struct.Struct("<III")
# struct btf_member: u32 name_off, type, offset; struct btf_param: u32 name_off, type
_MEMBER = struct.Struct("<III")
_PARAMETER = struct.Struct("<II")

KIND_STRUCT, KIND_UNION = 4, 5
KIND_ENUM = 6
KIND_FUNC, KIND_FUNC_PROTO = 12, 13
KIND_ENUM64 = 19
# Bytes that follow a type of each kind: (fixed, per element). Kinds not listed have none.
_TRAILER = {
    1: (4, 0),  # INT
    3: (12, 0),  # ARRAY
    KIND_STRUCT: (0, 12),
    KIND_UNION: (0, 12),
    KIND_ENUM: (0, 8),
    KIND_FUNC_PROTO: (0, 8),
    14: (4, 0),  # VAR
    15: (0, 12),  # DATASEC
    17: (4, 0),  # DECL_TAG
    KIND_ENUM64: (0, 12),
}


class _Type(NamedTuple):
    name: int
    """Offset of its name."""
    info: int
    target: int
    """Size or type, by kind."""
    body: bytes

    @property
    def kind(self) -> int:
        return self.info >> 24 & 0x1F


@dataclass(frozen=True)
class Btf:
    """The types of the kernel, and of its btrfs module where it is one."""

    types: tuple[_Type, ...]
    """By type number; 0 is void."""
    strings: bytes

    def enumerators(self, prefixes: tuple[str, ...]) -> dict[str, int]:
        """Return every enumerator whose name starts with one of `prefixes`, with its value."""
        members = ((self._string(name), value) for name, value in self._enum_members())
        return {name: value for name, value in members if name.startswith(prefixes)}

    def members(self, name: str) -> frozenset[str] | None:
        """Return the members of `struct name`, those of anonymous members included; None for no such type."""
        found = [t for t in self._named(name) if t.kind in (KIND_STRUCT, KIND_UNION)]
        return frozenset(member for t in found for member in self._members(t)) if found else None

    def knows(self, name: str) -> bool:
        """Whether any type has this name."""
        return any(True for _ in self._named(name))

    def parameters(self, function: str) -> tuple[str, ...] | None:
        """Return the names of a function's parameters; None for a function that BTF does not have."""
        for found in self._named(function):
            if found.kind == KIND_FUNC:
                prototype = self.types[found.target]
                return tuple(self._string(name) for name, _ in _PARAMETER.iter_unpack(prototype.body))
        return None

    def _named(self, name: str) -> Iterator[_Type]:
        wanted = name.encode() + b"\0"
        return (t for t in self.types if t.name and self.strings.startswith(wanted, t.name))

    def _members(self, structure: _Type) -> Iterator[str]:
        for name, number, _ in _MEMBER.iter_unpack(structure.body):
            if name:
                yield self._string(name)
            else:
                yield from self._members(self.types[number])

    def _enum_members(self) -> Iterator[tuple[int, int]]:
        for t in self.types:
            if t.kind == KIND_ENUM:
                yield from ((name, _value(raw, 32, t.info)) for name, raw in _ENUM.iter_unpack(t.body))
            elif t.kind == KIND_ENUM64:
                longs = _ENUM64.iter_unpack(t.body)
                yield from ((name, _value(low | high << 32, 64, t.info)) for name, low, high in longs)

    def _string(self, offset: int) -> str:
        return self.strings[offset : self.strings.index(b"\0", offset)].decode()


def load_btf(folder: Path = BTF_FOLDER) -> Btf:
    """Read the BTF of the kernel, and of its btrfs module where it is one.

    Raises UserError when the kernel has no readable BTF.
    """
    path = folder / "vmlinux"
    try:
        types, strings = _sections(path.read_bytes())
        found = [_Type(0, 0, 0, b""), *_types(types)]
        path = folder / "btrfs"
        if path.exists():
            # A module's strings and types continue those of the kernel.
            types, more = _sections(path.read_bytes())
            found += _types(types)
            strings += more
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: no usable BTF ({error}): use a kernel with CONFIG_DEBUG_INFO_BTF") from None
    return Btf(tuple(found), strings)


def _sections(data: bytes) -> tuple[bytes, bytes]:
    """Return the types and the strings."""
    if len(data) < _HEADER.size:
        raise ValueError("too short")
    magic, _, _, header, type_off, type_len, str_off, str_len = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise ValueError("not BTF")
    if len(data) < header + max(type_off + type_len, str_off + str_len):
        raise ValueError("truncated")
    body = data[header:]
    return body[type_off : type_off + type_len], body[str_off : str_off + str_len]


def _types(section: bytes) -> Iterator[_Type]:
    offset = 0
    while offset < len(section):
        name, info, target = _TYPE.unpack_from(section, offset)
        offset += _TYPE.size
        fixed, each = _TRAILER.get(info >> 24 & 0x1F, (0, 0))
        after = offset + fixed + (info & 0xFFFF) * each
        yield _Type(name, info, target, section[offset:after])
        offset = after


def _value(raw: int, width: int, info: int) -> int:
    """kind_flag tells that the enum is signed."""
    return raw - (raw >> width - 1 << width) if info >> 31 else raw
