# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a case on the model of 2010 and holds what comes of it against what may."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Protocol

from reference.direct_io.naive import Expected, expect, segments
from reference.direct_io.naive_bios import joined, ranges
from reference.direct_io.rfc_2010 import (
    UNTOUCHED,
    Behaviour,
    Faults,
    Kernel,
    Limits,
    UserMemory,
    btrfs_direct_IO,
    check_always,
    check_end,
)
from reference.direct_io.synthetic import BLOCK, SECTOR, Case, SyntheticFile, build
from reference.machine import Deadlock, Finding, Machine

__all__ = ["Chooser", "Order", "Run", "complaint", "judge", "run"]

_STEPS = 20_000
"""More than any case takes."""

_BLANK = bytes([UNTOUCHED]) * SECTOR
_NOTHING = [_BLANK]


class Chooser(Protocol):
    """The part of random.Random that is needed."""

    def randrange(self, stop: int, /) -> int:
        """Return a number from 0 to `stop` - 1."""


class Order:
    """Which of several goes on, from a seed; models have no randomness of their own."""

    def __init__(self, seed: int) -> None:
        self._state = seed * 2654435761 + 1 & 0xFFFFFFFF

    def randrange(self, stop: int, /) -> int:
        """Return a number from 0 to `stop` - 1."""
        self._state = self._state * 1664525 + 1013904223 & 0xFFFFFFFF
        return (self._state >> 8) % stop


@dataclass
class Run:
    """What came of a case."""

    result: int
    """What the read returned to the user."""
    kernel: Kernel


def run(case: Case, behaviour: Behaviour, file: SyntheticFile | None = None) -> Run:
    """Run `case`; raises the Finding, or the AssertionError of a check, that it deserves."""
    machine = Machine()
    kernel = Kernel(
        machine,
        file or build(case),
        UserMemory(case.memory_pages(), compound=case.compound),
        behaviour,
        Limits(*case.limits),
        Faults(frozenset(case.allocations), case.ordered_error),
    )
    task = machine.task("reader", btrfs_direct_IO(kernel, case.request))
    machine.invariants.append(lambda: check_always(kernel))
    order = Order(case.order)
    steps = 0
    try:
        while choices := machine.choices():
            machine.step(choices[order.randrange(len(choices))] if len(choices) > 1 else choices[0])
            steps += 1
            if steps > _STEPS:
                raise Deadlock(f"no end after {_STEPS} steps")
        machine.finish()
    finally:
        machine.close()
    check_end(kernel)
    result = task.result
    assert isinstance(result, int)
    return Run(kernel.completed[0] if kernel.completed else result, kernel)


def judge(case: Case, behaviour: Behaviour) -> str:
    """Return what is wrong with the read of `case`, or nothing."""
    file = build(case)
    try:
        done = run(case, behaviour, file)
    except Finding as finding:
        return str(finding)
    except AssertionError as error:
        return f"AssertionError: {error}"
    return complaint(case, file, done)


def complaint(case: Case, file: SyntheticFile, done: Run) -> str:
    """Return what of the return value and of the user's memory is not as it may be, or nothing."""
    expected = expect(case, file)
    if not _returns(expected, done.result):
        return f"returns {done.result}, {sorted(expected.returns)} is due"
    return _memory(case, expected, done) or _devices(case, file, done)


def _returns(expected: Expected, result: int) -> bool:
    if result in expected.returns:
        return True
    if not expected.any_prefix:
        return False
    return result == -errno.ENOMEM or 0 < result < max(expected.returns)


def _memory(case: Case, expected: Expected, done: Run) -> str:
    """Compare all memory of the user, sector by sector."""
    allowed = _allowed(case, expected, max(0, done.result))
    for number, page in done.kernel.memory.pages.items():
        for offset in range(0, BLOCK, SECTOR):
            address = number * BLOCK + offset
            candidates = allowed.get(address, _NOTHING)
            if candidates is None:
                continue
            held = page.data[offset : offset + SECTOR]
            if not _is_one_of(held, candidates):
                return _difference(address, held, candidates)
            if candidates is not _NOTHING and not page.dirty and not page.compound:
                return f"the page of {address:#x} was written to and is not dirty"
    return ""


def _devices(case: Case, file: SyntheticFile, done: Run) -> str:
    """Compare what was read of each device, where nothing had to be read again."""
    due = ranges(case, file)
    if due is None or done.result < 0:
        return ""
    read = sorted((bio.devid, bio.physical, bio.length) for bio in done.kernel.submitted)
    return "" if joined(read) == due else f"reads {joined(read)} of devices, {due} is due"


def _allowed(case: Case, expected: Expected, result: int) -> dict[int, list[bytes] | None]:
    """Return by address what a sector may hold: None is anything, no entry is nothing new."""
    allowed: dict[int, list[bytes] | None] = {}
    good = case.offset + result
    for position, address, length in segments(case, case.offset, expected.end):
        for at in range(0, length, SECTOR):
            where = position + at
            if where >= good or not expected.contents.get(where):
                allowed[address + at] = None
                continue
            present = allowed.setdefault(address + at, [])
            if present is not None:
                present += expected.contents[where]
    return allowed


def _is_one_of(held: bytearray, candidates: list[bytes]) -> bool:
    """Return whether `held` is one of these; behind the end of the file nothing is written.

    Where vectors overlap, that may be what another one of them has.
    """
    for data in candidates:
        rest = held[len(data) :]
        if held.startswith(data) and (rest == _BLANK[len(data) :] or len(candidates) > 1):
            return True
    return False


def _difference(address: int, held: bytearray, candidates: list[bytes]) -> str:
    """Say where a sector begins to differ from the first thing that it may hold."""
    wanted = candidates[0] + _BLANK[len(candidates[0]) :]
    at = next(at for at in range(SECTOR) if held[at] != wanted[at])
    found, due = held[at : at + 8].hex(), wanted[at : at + 8].hex()
    return f"memory at {address + at:#x} holds {found}, not {due}"
