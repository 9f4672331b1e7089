# SPDX-License-Identifier: GPL-2.0-or-later
"""Inflating into the user's memory (`btrfs_zlib_inflate`).

That function is in the patch's second part, of which nothing is kept. This does what its callers in the first
part need: it stops when it has given what was wanted or the stream ends, and says how much it gave.
"""

from __future__ import annotations

import errno
import zlib

from reference.direct_io.rfc_2010.bio import BioVec
from reference.direct_io.rfc_2010.structs import BtrfsInflate

__all__ = ["btrfs_zlib_inflate"]


def btrfs_zlib_inflate(icb: BtrfsInflate) -> int:
    """Inflate `out_len` bytes from `out_start` on; return 0 or -errno. `out_len` becomes what there was."""
    output = _Output(icb)
    err = _inflate(icb, output)
    output.close()
    icb.out_len = output.given
    return err


def _inflate(icb: BtrfsInflate, output: _Output) -> int:
    stream = zlib.decompressobj()
    skip = icb.out_start
    while output.given < icb.out_len and not stream.eof:
        ivec = icb.get_next_in()
        if isinstance(ivec, int):
            return ivec
        try:
            data = stream.decompress(_bytes(ivec))
        except zlib.error:
            return -errno.EIO
        data, skip = data[skip:], max(0, skip - len(data))
        err = output.write(data[: icb.out_len - output.given])
        if err:
            return err
    return 0


def _bytes(ivec: BioVec | bytes) -> bytes | bytearray:
    if isinstance(ivec, bytes):
        return ivec
    return ivec.bv_page.data[ivec.bv_offset : ivec.bv_offset + ivec.bv_len]


class _Output:
    """The user page that is being filled; one is got only when there is something for it."""

    def __init__(self, icb: BtrfsInflate) -> None:
        self.icb = icb
        self.given = 0
        self._ovec: BioVec | None = None
        self._at = 0

    def write(self, data: bytes) -> int:
        while data:
            if self._ovec is None:
                ovec = self.icb.get_next_out()
                if isinstance(ovec, int):
                    return ovec
                self._ovec, self._at = ovec, 0
            part = data[: self._ovec.bv_len - self._at]
            at = self._ovec.bv_offset + self._at
            self._ovec.bv_page.data[at : at + len(part)] = part
            self._at += len(part)
            self.given += len(part)
            data = data[len(part) :]
            if self._at == self._ovec.bv_len:
                self.close()
        return 0

    def close(self) -> None:
        if self._ovec is not None:
            self.icb.done_with_out(self._ovec)
            self._ovec = None
