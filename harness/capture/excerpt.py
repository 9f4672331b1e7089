# SPDX-License-Identifier: GPL-2.0-or-later
"""The structures that the BPF programs read, cut out of the kernel's BTF.

Left to itself, libbpf reads the BTF of the kernel and of all its modules again for each object that it loads.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from harness.capture import btf
from harness.capture.btf import Btf

__all__ = ["excerpt"]

_REFERENCES = {btf.KIND_TYPEDEF, btf.KIND_VOLATILE, btf.KIND_CONST, btf.KIND_RESTRICT, btf.KIND_TYPE_TAG}


def excerpt(whole: Btf, names: Iterable[str], *, last_only: bool = False) -> bytes:
    """Return BTF of the types of these names, and of what they are made of, each with its place in memory.

    Where pointers lead is left out: nobody needs it to know where a member stands. With `last_only`, of
    several types of a name and kind only the last is taken: that of a module, where the kernel has its own.
    """
    made = _Excerpt(whole)
    for name in sorted(names):
        numbers = whole.named(name)
        last = {whole.kind(number): number for number in numbers}
        for number in last.values() if last_only else numbers:
            made.number(number)
    return made.data()


class _Excerpt:
    def __init__(self, whole: Btf) -> None:
        self._whole = whole
        self._numbers = {0: 0}
        self._strings = {"": 0}
        self._length = 1

    def number(self, number: int) -> int:
        """Return what number a type has here, taking it in if it is new."""
        return self._numbers.setdefault(number, len(self._numbers))

    def data(self) -> bytes:
        """Return the BTF of all that was taken in, and of what that refers to."""
        taken, types = [*self._numbers][1:], []
        while taken:
            before = len(self._numbers)
            types += [word for number in taken for word in self._type(number)]
            taken = [*self._numbers][before:]
        return btf.pack(
            struct.pack(f"<{len(types)}I", *types), "".join(s + "\0" for s in self._strings).encode()
        )

    def _type(self, number: int) -> list[int]:
        """Return a type's words, with the numbers and offsets that hold here."""
        kind, words = self._whole.kind(number), list(self._whole.type(number))
        words[0] = self._string(words[0])
        if kind == btf.KIND_PTR:
            words[2] = 0
        elif kind in _REFERENCES:
            words[2] = self.number(words[2])
        elif kind == btf.KIND_ARRAY:
            words[3:5] = map(self.number, words[3:5])
        elif kind in (btf.KIND_STRUCT, btf.KIND_UNION):
            words[3::3] = map(self._string, words[3::3])
            words[4::3] = map(self.number, words[4::3])
        elif kind in (btf.KIND_ENUM, btf.KIND_ENUM64):
            # No program asks for an enumerator, only for where a member of this size stands.
            words[1:] = [words[1] & ~0xFFFF, words[2]]
        return words

    def _string(self, offset: int) -> int:
        """Return where a string stands here."""
        text = self._whole.string(offset)
        if text not in self._strings:
            self._strings[text] = self._length
            self._length += len(text.encode()) + 1
        return self._strings[text]
