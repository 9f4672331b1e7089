# SPDX-License-Identifier: GPL-2.0-or-later
"""Sets and counters in arrays against Python's own; and compiled code is kept where it can be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from reference.readahead.scale.bits import Bits, clear_bit, make_bits, next_bit, set_bit
from reference.readahead.scale.jit import compiled
from reference.readahead.scale.maxima import first_greatest, make_maxima, set_counter

SET, CLEAR, NEXT = range(3)


@compiled
def run_bits(bits: Bits, steps: NDArray[np.int64], found: NDArray[np.int64]) -> None:
    """Do each of `steps`, rows of an operation and a number, in row 1."""
    for step in range(len(steps)):
        number = steps[step, 1]
        if steps[step, 0] == SET:
            set_bit(bits, 1, number)
        elif steps[step, 0] == CLEAR:
            clear_bit(bits, 1, number)
        else:
            found[step] = next_bit(bits, 1, number)


@compiled
def run_maxima(maxima: NDArray[np.int32], steps: NDArray[np.int64], found: NDArray[np.int64]) -> None:
    """Set a counter of row 1 for each of `steps`, and look for the first greatest."""
    for step in range(len(steps)):
        set_counter(maxima, 1, steps[step, 0], steps[step, 1])
        found[step] = first_greatest(maxima, 1)


@given(data=st.data(), size=st.sampled_from((1, 2, 63, 64, 65, 4095, 4096, 4097, 300_000)))
@settings(max_examples=100, deadline=None, database=None)
def test_a_set_finds_what_is_next(data: st.DataObject, size: int) -> None:
    numbers = st.integers(0, size - 1) | st.sampled_from((0, size // 2, size - 1))
    steps = data.draw(st.lists(st.tuples(st.integers(SET, NEXT), numbers), max_size=60))
    steps += [(NEXT, 0), (NEXT, size)]
    bits, found = make_bits(3, size), np.zeros(len(steps), np.int64)
    run_bits(bits, np.array(steps), found)
    held: set[int] = set()
    for (operation, number), at in zip(steps, found, strict=True):
        if operation == SET:
            held.add(number)
        elif operation == CLEAR:
            held.discard(number)
        else:
            assert at == min((other for other in held if other >= number), default=-1)
    assert not bits.words[0].any()
    assert not bits.words[2].any()


@given(data=st.data(), size=st.integers(1, 40))
@settings(max_examples=100, deadline=None, database=None)
def test_the_first_of_the_greatest_counters_is_found(data: st.DataObject, size: int) -> None:
    steps = data.draw(
        st.lists(st.tuples(st.integers(0, size - 1), st.integers(0, 4)), min_size=1, max_size=60)
    )
    maxima, found = make_maxima(3, size), np.zeros(len(steps), np.int64)
    run_maxima(maxima, np.array(steps), found)
    counters = [0] * size
    for (index, value), at in zip(steps, found, strict=True):
        counters[index] = value
        assert at == (counters.index(max(counters)) if any(counters) else -1)
    assert not maxima[0].any()
    assert not maxima[2].any()


SMALL = """
from reference.readahead.scale.jit import compiled
@compiled
def twice(number):
    return 2 * number
print(twice(21))
"""


@pytest.mark.parametrize(
    ("from_file", "folder", "kept"), [(True, "kept", 1), (True, "", 0), (False, "kept", 0)]
)
def test_code_is_kept_where_it_can_be(tmp_path: Path, from_file: bool, folder: str, kept: int) -> None:
    """Numba keeps no code of functions that are in no file, and says so by an error."""
    script = tmp_path / "small.py"
    script.write_text(SMALL)
    where = str(tmp_path / folder) if folder else ""
    shown = subprocess.run(
        [sys.executable, str(script)] if from_file else [sys.executable, "-c", SMALL],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "NUMBA_CACHE_DIR": where},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.strip() == "42"
    assert len(list(tmp_path.rglob("*.nbc"))) == kept
