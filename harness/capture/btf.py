# SPDX-License-Identifier: GPL-2.0-or-later
"""Values of the kernel's enumerators, read from its BTF.

Bits of an extent_state are anonymous enums that move between kernels, so their values are looked up in the
running kernel and stored in the bundle. Format: Documentation/bpf/btf.rst.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError

__all__ = ["BTF_FOLDER", "enumerators"]

BTF_FOLDER = Path("/sys/kernel/btf")

# struct btf_header: u16 magic, u8 version, u8 flags, u32 hdr_len, type_off, type_len, str_off, str_len
_HEADER = struct.Struct("<HBBIIIII")
_MAGIC = 0xEB9F
# struct btf_type: u32 name_off, info (vlen 0-15, kind 24-28, kind_flag 31), size or type
_TYPE = struct.Struct("<III")
# struct btf_enum: u32 name_off, val; struct btf_enum64: u32 name_off, val_lo32, val_hi32
_ENUM = struct.Struct("<II")
_ENUM64 = struct.Struct("<III")

KIND_ENUM = 6
KIND_ENUM64 = 19
# Bytes that follow a type of each kind: (fixed, per element). Kinds not listed have none.
_TRAILER = {
    1: (4, 0),  # INT
    3: (12, 0),  # ARRAY
    4: (0, 12),  # STRUCT
    5: (0, 12),  # UNION
    6: (0, 8),  # ENUM
    13: (0, 8),  # FUNC_PROTO
    14: (4, 0),  # VAR
    15: (0, 12),  # DATASEC
    17: (4, 0),  # DECL_TAG
    19: (0, 12),  # ENUM64
}


@dataclass(frozen=True)
class _Sections:
    types: bytes
    strings: bytes

    def string(self, offset: int) -> str:
        return self.strings[offset : self.strings.index(b"\0", offset)].decode()


def enumerators(prefixes: tuple[str, ...], folder: Path = BTF_FOLDER) -> dict[str, int]:
    """Return every enumerator whose name starts with one of `prefixes`, with its value.

    Those of the kernel, and of its btrfs module where it is one. Raises UserError when the kernel has no
    readable BTF.
    """
    path = folder / "vmlinux"
    try:
        kernel = _sections(path.read_bytes())
        files = [kernel]
        path = folder / "btrfs"
        if path.exists():
            module = _sections(path.read_bytes())
            # A module's strings continue those of the kernel.
            files.append(_Sections(module.types, kernel.strings + module.strings))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: no usable BTF ({error}): use a kernel with CONFIG_DEBUG_INFO_BTF") from None
    members = ((file.string(name), value) for file in files for name, value in _enum_members(file.types))
    return {name: value for name, value in members if name.startswith(prefixes)}


def _sections(data: bytes) -> _Sections:
    if len(data) < _HEADER.size:
        raise ValueError("too short")
    magic, _, _, header, type_off, type_len, str_off, str_len = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise ValueError("not BTF")
    if len(data) < header + max(type_off + type_len, str_off + str_len):
        raise ValueError("truncated")
    body = data[header:]
    return _Sections(body[type_off : type_off + type_len], body[str_off : str_off + str_len])


def _enum_members(types: bytes) -> Iterator[tuple[int, int]]:
    offset = 0
    while offset < len(types):
        _, info, _ = _TYPE.unpack_from(types, offset)
        offset += _TYPE.size
        kind, members = info >> 24 & 0x1F, info & 0xFFFF
        fixed, each = _TRAILER.get(kind, (0, 0))
        body = types[offset : offset + members * each]
        if kind == KIND_ENUM:
            yield from ((name, _value(raw, 32, info)) for name, raw in _ENUM.iter_unpack(body))
        elif kind == KIND_ENUM64:
            longs = _ENUM64.iter_unpack(body)
            yield from ((name, _value(low | high << 32, 64, info)) for name, low, high in longs)
        offset += fixed + members * each


def _value(raw: int, width: int, info: int) -> int:
    """kind_flag tells that the enum is signed."""
    return raw - (raw >> width - 1 << width) if info >> 31 else raw
