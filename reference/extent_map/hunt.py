# SPDX-License-Identifier: GPL-2.0-or-later
"""Looking for what is wrong with a version by random calls, and making what shows it as small as possible.

Nothing here knows which defects there are. `hunt_calls` is one task and interrupts, one call after the other
(calls.py); what needs several tasks is in programs.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from reference.extent_map.behaviour import Behaviour
from reference.extent_map.bits import EXTENT_LOCKED
from reference.extent_map.calls import SIZE, Call, Trial
from reference.index import U64_MAX
from reference.machine import Finding

__all__ = ["Catch", "Chooser", "hunt_calls", "shrink_calls", "try_calls"]

BITS = (1, 2, 4, 8, 16)


class Chooser(Protocol):
    """What is needed of a random.Random."""

    def randrange(self, stop: int, /) -> int:
        """Return a number from 0 to `stop` - 1."""


class Catch(NamedTuple):
    """Calls that show something, and what."""

    calls: tuple[Call, ...]
    shown: str
    """The kind of finding, or AssertionError's kind, and its text."""

    @property
    def kind(self) -> str:
        """What `shown` begins with."""
        return self.shown.split(":", 1)[0]

    def __str__(self) -> str:
        return "\n".join([*(f"{call}" for call in self.calls), f"  -> {self.shown}"])


def try_calls(behaviour: Behaviour, calls: Sequence[Call]) -> Catch | None:
    """Do `calls` on a fresh tree; return those up to the one that shows something, or None."""
    trial = Trial(behaviour)
    for number, call in enumerate(calls, 1):
        try:
            trial.do(call)
        except Finding as finding:
            return Catch(tuple(calls[:number]), str(finding))
        except AssertionError as error:
            return Catch(tuple(calls[:number]), f"{type(error).__name__}: {error}")
    return None


def hunt_calls(
    behaviour: Behaviour, rng: Chooser, runs: int, length: int = 12, *, shrinks: bool = True
) -> Catch | None:
    """Try up to `runs` random sequences of `length` calls; return the first that shows something, shrunk."""
    for _ in range(runs):
        catch = try_calls(behaviour, _random_calls(rng, length))
        if catch is not None:
            return shrink_calls(behaviour, catch) if shrinks else catch
    return None


def _random_calls(rng: Chooser, length: int) -> list[Call]:
    """Return calls of which some are about the range of an earlier one, or begin where that does."""
    calls: list[Call] = []
    of_maps = not rng.randrange(3)
    for _ in range(length):
        call = _random_map_call(rng) if of_maps else _random_state_call(rng)
        if calls and not rng.randrange(3):
            other = calls[rng.randrange(len(calls))]
            if rng.randrange(2) or call.end < other.start:
                call = call._replace(start=other.start, end=other.end)
            else:
                call = call._replace(start=other.start)
        calls.append(call)
    return calls


def _random_state_call(rng: Chooser) -> Call:
    """Return a call about states, under bad conditions now and then."""
    kind = rng.randrange(12)
    start, end = _random_range(rng)
    bits = BITS[rng.randrange(5)] | (BITS[rng.randrange(5)] if not rng.randrange(4) else 0)
    irq = not rng.randrange(4)
    atomic = irq or not rng.randrange(6)
    failing = tuple(number for number in (1, 2, 3) if not rng.randrange(8))
    no_nodes = not rng.randrange(8)
    if kind < 5:
        exclusive = bits == EXTENT_LOCKED or not rng.randrange(3)
        return Call("set", start, end, bits, exclusive, atomic, irq, failing, no_nodes)
    if kind < 8:
        return Call("clear", start, end, bits, not rng.randrange(6), atomic, irq, failing, no_nodes)
    if kind < 10:
        return Call("test", start, end, BITS[rng.randrange(5)], bool(rng.randrange(2)), irq=irq)
    if kind < 11:
        return Call("lock", start, end, 0, False, atomic, irq, failing, no_nodes)
    return Call("wait", start, end, bits)


def _random_map_call(rng: Chooser) -> Call:
    """Return a call about maps."""
    kind = rng.randrange(10)
    start = rng.randrange(SIZE)
    end = start + rng.randrange(min(4, SIZE - start))
    if kind < 2:
        return Call("hold", start, end)
    if kind < 4:
        return Call("remove", start, end)
    if kind == 4:
        return Call("drop", start, end)
    place = (0, 1000 + start, 1000 + start, 2000 + start)[rng.randrange(4)]
    return Call("add", start, end, place, not rng.randrange(4), no_nodes=not rng.randrange(6))


def _random_range(rng: Chooser) -> tuple[int, int]:
    start = rng.randrange(SIZE)
    end = start + rng.randrange(SIZE - start)
    chance = rng.randrange(10)
    if chance == 0:
        return start, U64_MAX
    if chance < 3:
        return U64_MAX - end, U64_MAX - start
    return start, start if chance == 3 else end


def shrink_calls(behaviour: Behaviour, catch: Catch) -> Catch:
    """Return the smallest catch of the same kind that leaving out and simplifying calls leads to."""
    best, progress = catch, True
    while progress:
        progress = False
        for calls in _simpler(best.calls):
            other = try_calls(behaviour, calls)
            if other is not None and other.kind == catch.kind:
                best, progress = other, True
                break
    return best


def _simpler(calls: Sequence[Call]) -> Iterator[list[Call]]:
    if all(call.start > U64_MAX - SIZE or call.name in ("drop", "remove") for call in calls):
        down = U64_MAX - SIZE + 1
        yield [call._replace(start=call.start - down, end=call.end - down) for call in calls]
    for index in range(len(calls)):
        yield [*calls[:index], *calls[index + 1 :]]
    for index, call in enumerate(calls):
        for simpler in _simpler_calls(call):
            yield [*calls[:index], simpler, *calls[index + 1 :]]


def _before(end: int) -> int:
    """Return the end one byte before, out of those that calls may have."""
    return SIZE - 1 if end == U64_MAX - SIZE + 1 else end - 1


def _simpler_calls(call: Call) -> Iterator[Call]:
    """Yield variants with less of everything; none of them leads back."""
    if call.irq:
        yield call._replace(irq=False)
    elif call.atomic:
        yield call._replace(atomic=False)
    if call.failing:
        yield call._replace(failing=call.failing[1:])
    if call.no_nodes:
        yield call._replace(no_nodes=False)
    if call.flag:
        yield call._replace(flag=False)
    if call.end > call.start:
        yield call._replace(end=call.start)
        yield call._replace(start=call.end)
        yield call._replace(end=_before(call.end))
    if call.name in ("set", "clear", "wait"):
        yield from (call._replace(bits=bit) for bit in BITS if bit < call.bits and bit & call.bits)
