# SPDX-License-Identifier: GPL-2.0-or-later
"""Rebuilding stripes of RAID5 and 6 from the rest of their row (lib/raid6, fs/btrfs/raid56.c).

P is the exclusive or of the data stripes D0, D1, ...; Q is that of D0, 2 D1, 4 D2, ..., where bytes are
elements of the field GF(2**8) with the polynomial 0x11d.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["failed_stripes", "parity", "rebuild"]

_POLYNOMIAL = 0x11D

Bytes = NDArray[np.uint8]


def _powers() -> list[int]:
    powers = [1]
    for _ in range(254):
        double = powers[-1] << 1
        powers.append(double ^ _POLYNOMIAL if double > 0xFF else double)
    return powers


_POWER = _powers()
"""2**n in the field."""
_LOG = {value: n for n, value in enumerate(_POWER)}


def failed_stripes(mirror_num: int, wanted: int, total: int) -> set[int]:
    """Return which stripes of a row of `total` are taken for bad when mirror `mirror_num` is asked for.

    Mirror 2 is rebuilding with P; on RAID6, 3 is with Q alone, the ones after it with both, another data
    stripe given up each time, from the last on (`raid56_parity_recover`).
    """
    if mirror_num <= 2:
        return {wanted}
    other = total - (mirror_num - 1)
    return {wanted, other - 1 if other <= wanted else other}


def rebuild(stripes: Sequence[bytes | None], wanted: int, parities: int) -> bytes | None:
    """Return stripe `wanted`, a data stripe, from those that are not None; None if those are too few.

    >>> row = [b"ab", b"cd", *parity([b"ab", b"cd"], 2)]
    >>> rebuild([None, None, *row[2:]], 1, 2), rebuild([None, *row[1:3], None], 0, 2)
    (b'cd', b'ab')
    """
    data_count = len(stripes) - parities
    present = [None if stripe is None else np.frombuffer(stripe, np.uint8) for stripe in stripes]
    data, p = present[:data_count], present[data_count]
    q = present[data_count + 1] if parities > 1 else None
    lost = [n for n, stripe in enumerate(data) if stripe is None]
    if wanted not in lost:
        stripe = data[wanted]
        return None if stripe is None else stripe.tobytes()
    if len(lost) == 1 and p is not None:
        return _xor([p, *_known(data)]).tobytes()
    if len(lost) == 1 and q is not None:
        return _times(_xor([q, *_weighted(data)]), -wanted).tobytes()
    if len(lost) == 2 and p is not None and q is not None:
        return _one_of_two(data, p, q, wanted, lost).tobytes()
    return None


def parity(data: Sequence[bytes], parities: int) -> list[bytes]:
    """Return P, and with two `parities` Q, of the data stripes."""
    arrays: list[Bytes | None] = [np.frombuffer(stripe, np.uint8) for stripe in data]
    rows = [_xor(_known(arrays)), _xor(_weighted(arrays))]
    return [row.tobytes() for row in rows[:parities]]


def _one_of_two(data: Sequence[Bytes | None], p: Bytes, q: Bytes, wanted: int, lost: list[int]) -> Bytes:
    """Solve Dx + Dy = P', 2**x Dx + 2**y Dy = Q' for Dx, x being `wanted`."""
    (other,) = (n for n in lost if n != wanted)
    p_rest = _xor([p, *_known(data)])
    q_rest = _xor([q, *_weighted(data)])
    factor = _POWER[wanted % 255] ^ _POWER[other % 255]
    return _times(_xor([_times(p_rest, other), q_rest]), -_LOG[factor])


def _known(data: Sequence[Bytes | None]) -> list[Bytes]:
    return [stripe for stripe in data if stripe is not None]


def _weighted(data: Sequence[Bytes | None]) -> list[Bytes]:
    return [_times(stripe, n) for n, stripe in enumerate(data) if stripe is not None]


def _times(stripe: Bytes, power: int) -> Bytes:
    """Return `stripe` times 2**`power`."""
    products = [0, *(_POWER[(_LOG[value] + power) % 255] for value in range(1, 256))]
    return np.array(products, np.uint8)[stripe]


def _xor(stripes: Sequence[Bytes]) -> Bytes:
    total = stripes[0]
    for stripe in stripes[1:]:
        total = total ^ stripe
    return total
