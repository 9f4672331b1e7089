# SPDX-License-Identifier: GPL-2.0-or-later
"""Enumerators, structures and functions of the running kernel, read from its BTF.

Bits of an extent_state are anonymous enums that move between kernels, so their values are looked up in the
running kernel and stored in the bundle. Format: Documentation/bpf/btf.rst.

A kernel has 100,000 types and more, and an emulated guest is slow. So types stay the words that they are in
BTF; only where each begins, and its first two words, are found out beforehand.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.errors import UserError

__all__ = ["BTF_FOLDER", "Btf", "load_btf"]

BTF_FOLDER = Path("/sys/kernel/btf")

# struct btf_header: u16 magic, u8 version, u8 flags, u32 hdr_len, type_off, type_len, str_off, str_len
_HEADER = struct.Struct("<HBBIIIII")
_MAGIC = 0xEB9F

# struct btf_type: u32 name_off, info (vlen 0-15, kind 24-28, kind_flag 31), size or type
TYPE_WORDS = 3
KIND_INT, KIND_PTR, KIND_ARRAY, KIND_STRUCT, KIND_UNION, KIND_ENUM = 1, 2, 3, 4, 5, 6
KIND_TYPEDEF, KIND_VOLATILE, KIND_CONST, KIND_RESTRICT = 8, 9, 10, 11
KIND_FUNC, KIND_FUNC_PROTO = 12, 13
KIND_TYPE_TAG, KIND_ENUM64 = 18, 19
# Words that follow a type of each kind: (fixed, per element). Kinds not listed have none.
_TRAILER = {
    KIND_INT: (1, 0),
    KIND_ARRAY: (3, 0),  # struct btf_array: u32 type, index_type, nelems
    KIND_STRUCT: (0, 3),  # struct btf_member: u32 name_off, type, offset
    KIND_UNION: (0, 3),
    KIND_ENUM: (0, 2),  # struct btf_enum: u32 name_off, val
    KIND_FUNC_PROTO: (0, 2),  # struct btf_param: u32 name_off, type
    14: (1, 0),  # VAR
    15: (0, 3),  # DATASEC
    17: (1, 0),  # DECL_TAG
    KIND_ENUM64: (0, 3),  # struct btf_enum64: u32 name_off, val_lo32, val_hi32
}


@dataclass(frozen=True)
class Btf:
    """The types of the kernel, and of one of its modules."""

    words: memoryview
    """All types as 32-bit words, void first."""
    starts: NDArray[np.int64]
    """Where each type begins in `words`, by type number; 0 is void."""
    names: NDArray[np.uint32]
    """Where the name of each type stands in `strings`, by type number."""
    infos: NDArray[np.uint32]
    """The second word of each type, by type number."""
    strings: bytes

    def enumerators(self, prefixes: tuple[str, ...]) -> dict[str, int]:
        """Return every enumerator whose name starts with one of `prefixes`, with its value."""
        wanted = {offset for prefix in prefixes for offset in self._offsets(prefix.encode())}
        found = {}
        for number in np.flatnonzero(np.isin(self.infos >> 24 & 0x1F, (KIND_ENUM, KIND_ENUM64))).tolist():
            info = int(self.infos[number])
            for name, *value in self.elements(number):
                if name in wanted:
                    found[self.string(name)] = _value(value, info)
        return found

    def members(self, name: str) -> frozenset[str] | None:
        """Return the members of `struct name`, those of anonymous members included; None for no such type."""
        found = [number for number in self.named(name) if self.kind(number) in (KIND_STRUCT, KIND_UNION)]
        return frozenset(member for number in found for member in self._members(number)) if found else None

    def knows(self, name: str) -> bool:
        """Whether any type has this name."""
        return bool(self.named(name))

    def parameters(self, function: str) -> tuple[str, ...] | None:
        """Return the names of a function's parameters; None for a function that BTF does not have."""
        for number in self.named(function):
            if self.kind(number) == KIND_FUNC:
                prototype = self.type(number)[2]
                return tuple(self.string(name) for name, _ in self.elements(prototype))
        return None

    def named(self, name: str) -> list[int]:
        """Return the numbers of all types of this name."""
        offsets = list(self._offsets(name.encode() + b"\0"))
        return np.flatnonzero(np.isin(self.names, offsets)).tolist()

    def type(self, number: int) -> memoryview:
        """Return the words of a type, those that follow it included."""
        start = int(self.starts[number])
        return self.words[start : start + _words(self.words[start + 1])]

    def kind(self, number: int) -> int:
        """Return which KIND_ a type is."""
        return int(self.infos[number]) >> 24 & 0x1F

    def elements(self, number: int) -> Iterator[memoryview]:
        """Return the words of each member of a structure, or parameter of a function."""
        words = self.type(number)
        each = _TRAILER[self.kind(number)][1]
        return (words[at : at + each] for at in range(TYPE_WORDS, len(words), each))

    def string(self, offset: int) -> str:
        """Return the string at this offset."""
        return self.strings[offset : self.strings.index(b"\0", offset)].decode()

    def _members(self, structure: int) -> Iterator[str]:
        for name, number, _ in self.elements(structure):
            if name:
                yield self.string(name)
            else:
                yield from self._members(number)

    def _offsets(self, beginning: bytes) -> Iterator[int]:
        # Everywhere: a string may be the end of another one.
        at = self.strings.find(beginning)
        while at >= 0:
            yield at
            at = self.strings.find(beginning, at + 1)


def load_btf(folder: Path = BTF_FOLDER, module: str = "btrfs") -> Btf:
    """Read the BTF of the kernel, and of this module where it is one.

    Raises UserError when the kernel has no readable BTF.
    """
    path = folder / "vmlinux"
    try:
        types, strings = _sections(path.read_bytes())
        path = folder / module
        if path.exists():
            # A module's strings and types continue those of the kernel.
            more = _sections(path.read_bytes())
            types, strings = types + more[0], strings + more[1]
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: no usable BTF ({error}): use a kernel with CONFIG_DEBUG_INFO_BTF") from None
    words = memoryview(bytes(4 * TYPE_WORDS) + types).cast("I")
    starts = _starts(words)
    array = np.frombuffer(words, np.uint32)
    return Btf(words, starts, array[starts], array[starts + 1], strings)


def pack(types: bytes, strings: bytes) -> bytes:
    """Return BTF with these types and strings."""
    header = _HEADER.pack(_MAGIC, 1, 0, _HEADER.size, 0, len(types), len(types), len(strings))
    return header + types + strings


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


def _starts(words: memoryview) -> NDArray[np.int64]:
    """Return where each type begins, by number."""
    starts: list[int] = []
    at, end = 0, len(words)
    while at < end:
        starts.append(at)
        at += _words(words[at + 1])
    return np.array(starts, np.int64)


@cache
def _words(info: int) -> int:
    """Return how many words a type of this `info` takes, those that follow it included."""
    fixed, each = _TRAILER.get(info >> 24 & 0x1F, (0, 0))
    return TYPE_WORDS + fixed + (info & 0xFFFF) * each


def _value(words: Sequence[int], info: int) -> int:
    """Return the value of these words; kind_flag tells that the enum is signed."""
    data = struct.pack(f"<{len(words)}I", *words)
    return int.from_bytes(data, "little", signed=bool(info >> 31))
