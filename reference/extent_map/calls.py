# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls of one task and of interrupts, one after the other, each checked against the naive models.

What is checked knows nothing of defects. After each call: its result and every byte, by the naive models; the
invariants; that no lock, no reference and no preemption count is left over; that nothing freed was used; that
an error was due.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import EEXIST, ENOENT, ENOMEM
from typing import Literal, NamedTuple, TypeVar

from reference.extent_map.behaviour import Behaviour
from reference.extent_map.bits import ALL_BITS, EXTENT_LOCKED, GFP_ATOMIC, GFP_NOFS, describe
from reference.extent_map.make import extent_map_tree
from reference.extent_map.naive import NaiveMaps, NaiveStates
from reference.extent_map.objects import ExtentMap
from reference.extent_map.radix import RadixExtentMapTree
from reference.extent_map.tree import FailedStart
from reference.machine import PREEMPT, Interrupts, Steps, run_alone

__all__ = ["SIZE", "Call", "Trial"]

SIZE = 12
"""Calls are about the first and the last so many bytes of the file (states), or the first (maps)."""
T = TypeVar("T")
Name = Literal["set", "clear", "test", "lock", "wait", "add", "hold", "drop", "remove"]


class Call(NamedTuple):
    """A call of the tree, and under what conditions."""

    name: Name
    start: int = 0
    end: int = 0
    bits: int = 0
    """Of states; for `add`, where on disk (0: a hole)."""
    flag: bool = False
    """`exclusive`, `delete`, `filled`; for `add`, which of two devices."""
    atomic: bool = False
    """GFP_ATOMIC instead of GFP_NOFS."""
    irq: bool = False
    """In an interrupt, which is atomic too."""
    failing: tuple[int, ...] = ()
    """Which of the call's allocations of states fail, from 1 on."""
    no_nodes: bool = False
    """Whether there is no memory for nodes of radix trees."""

    def __str__(self) -> str:
        ways = [
            *(["in an interrupt"] if self.irq else ["GFP_ATOMIC"] if self.atomic else []),
            *(f"allocation {number} fails" for number in self.failing),
            *(["no radix tree nodes"] if self.no_nodes else []),
        ]
        words = {"set": "exclusive", "clear": "delete", "test": "filled", "add": "other device"}
        if self.flag:
            ways.insert(0, words[self.name])
        return f"{self._text()}{' (' + ', '.join(ways) + ')' if ways else ''}"

    def _text(self) -> str:
        where = f"[{self.start}, {self.end}]"
        if self.name == "add":
            return f"add {where} {f'at {self.bits}' if self.bits else 'as a hole'}"
        if self.name in ("lock", "hold"):
            return f"{self.name} {where}"
        if self.name in ("drop", "remove"):
            return f"{self.name} the map held"
        return f"{self.name} {describe(self.bits)} {where}"


class Trial:
    """A tree and what should be in it. `do` raises a Finding or AssertionError if a call shows something."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.tree = extent_map_tree(behaviour, strict=True)
        self.states = NaiveStates(SIZE)
        self.maps = NaiveMaps()
        self.cut: set[int] = set()
        """Where calls that failed with -ENOMEM may have left a state split."""
        self.held: ExtentMap | None = None
        """A map that the caller has a reference to."""

    def do(self, call: Call) -> None:
        """Do `call` and check everything."""
        self._prepare_memory(call)
        getattr(self, f"_{call.name}")(call)
        self._prepare_memory(Call("test"))
        assert self._rows() == self.states.rows(), f"states {self._rows()}, expected {self.states.rows()}"
        self.tree.validate(self.cut)
        self._check_maps()
        if self.held is None:
            self.tree.check_quiet()

    def _prepare_memory(self, call: Call) -> None:
        cache = self.tree.state_cache
        cache.failing = [cache.allocations + number for number in call.failing]
        if isinstance(self.tree, RadixExtentMapTree):
            self.tree.supply.slab_empty = call.no_nodes
            if call.no_nodes:
                self.tree.supply.preloads = [0]

    def _run(self, call: Call, steps: Steps[T]) -> T:
        if not call.irq:
            return run_alone(steps)
        interrupts = Interrupts()
        results: list[T] = []

        def handler() -> Steps[None]:
            results.append((yield from steps))

        def idle() -> Steps[None]:
            yield PREEMPT

        interrupts.raise_irq("completion", handler())
        run_alone(idle(), interrupts, eager=True)
        return results[0]

    # States.

    def _set(self, call: Call) -> None:
        failed = FailedStart()
        needs = self._needs_state(call)
        err = self._run(
            call,
            self.tree.set_extent_bit(call.start, call.end, call.bits, call.flag, failed, self._mask(call)),
        )
        if err == -ENOMEM:
            self._expect_part(call, needs)
            return
        at = self.states.set(call.start, call.end, call.bits, call.flag)
        assert err == (0 if at is None else -EEXIST), f"set returns {err}, failing at {at} is due"
        assert at is None or failed.value == at, f"failed_start is {failed.value} instead of {at}"

    def _clear(self, call: Call) -> None:
        needs = self._cuts(call, lambda held: call.flag or held & call.bits != 0)
        found = self._run(
            call,
            self.tree.clear_extent_bit(call.start, call.end, call.bits, True, call.flag, self._mask(call)),
        )
        if found == -ENOMEM:
            self._expect_part(call, needs)
            return
        expected = self.states.clear(call.start, call.end, call.bits, call.flag)
        assert found == expected, f"clear returns {found}, found should be {expected}"

    def _expect_part(self, call: Call, needs: bool) -> None:
        """Check after -ENOMEM that memory was short and needed, and that a first part was done or nothing."""
        self._check_error_was_due(call, needs)
        rows = self._rows()
        for end in [call.start - 1, *self._offsets(call)]:
            part = NaiveStates(SIZE)
            part.bits[:] = self.states.bits
            if end >= call.start and call.name == "set":
                part.set(call.start, end, call.bits, False)
            elif end >= call.start:
                part.clear(call.start, end, call.bits, call.flag)
            if part.rows() == rows:
                self.states = part
                return
        raise AssertionError(f"after -ENOMEM no first part is done, but {rows}")

    def _check_error_was_due(self, call: Call, needs: bool) -> None:
        assert needs, "-ENOMEM though no state was needed"
        assert call.failing or call.no_nodes, "-ENOMEM though there was memory"
        cells = self.states.cells
        self.cut.update(cells.first_byte(cell) for cell in cells.of(call.start, call.end))

    def _test(self, call: Call) -> None:
        if not call.bits:
            return
        result = self._run(call, self.tree.test_range_bit(call.start, call.end, call.bits, call.flag))
        expected = int(self.states.test(call.start, call.end, call.bits, call.flag))
        assert result == expected, f"test_range_bit returns {result} instead of {expected}"

    def _lock(self, call: Call) -> None:
        locked = self.states.test(call.start, call.end, EXTENT_LOCKED, False)
        mask = GFP_ATOMIC if locked else self._mask(call)
        needs = self._needs_state(call)
        err = self._run(call, self.tree.lock_extent(call.start, call.end, mask))
        if err == -ENOMEM:
            self._check_error_was_due(call, needs)
            return
        assert err == (-EEXIST if locked else 0), f"lock_extent returns {err}"
        if not locked:
            self.states.set(call.start, call.end, EXTENT_LOCKED, True)

    def _wait(self, call: Call) -> None:
        if not self.states.test(call.start, call.end, call.bits, False):
            self._run(call, self.tree.wait_extent_bit(call.start, call.end, call.bits))

    # Maps.

    def _add(self, call: Call) -> None:
        em = run_alone(self.tree.alloc_extent_map(GFP_NOFS))
        assert em is not None
        em.start, em.end, em.block_start = call.start, call.end, call.bits
        em.block_end = call.bits + call.end - call.start if call.bits else 0
        em.bdev = "sdb" if call.flag else "sda"
        err = run_alone(self.tree.add_extent_mapping(em))
        bdev = em.bdev
        self.tree.free_extent_map(em)
        if err == -ENOMEM:
            assert call.no_nodes, "-ENOMEM though there was memory"
            return
        added = self.maps.add(call.start, call.end, call.bits, bdev)
        assert err == (0 if added else -EEXIST), f"add_extent_mapping returns {err}, added: {added}"

    def _hold(self, call: Call) -> None:
        if self.held is None:
            self.held = run_alone(self.tree.lookup_extent_mapping(call.start, call.end))
            mapped = any(call.start <= offset <= call.end for offset in self.maps.places)
            assert (self.held is not None) == mapped, f"lookup finds {self.held}"

    def _drop(self, call: Call) -> None:
        del call
        if self.held is not None:
            self.tree.free_extent_map(self.held)
            self.held = None

    def _remove(self, call: Call) -> None:
        del call
        em = self.held
        if em is None:
            return
        there, offsets = em.in_tree, range(em.start, em.end + 1)
        err = run_alone(self.tree.remove_extent_mapping(em))
        assert err == (0 if there else -ENOENT), f"remove_extent_mapping returns {err}, in the tree: {there}"
        if there:
            self.tree.free_extent_map(em)
            self.maps.remove(offsets)

    def _check_maps(self) -> None:
        places = NaiveMaps()
        for em in self.tree.maps:
            places.add(em.start, em.end, em.block_start, em.bdev)
        assert places.places == self.maps.places, f"mapped {places.places}, expected {self.maps.places}"

    # What is asked above.

    def _mask(self, call: Call) -> int:
        return GFP_ATOMIC if call.atomic or call.irq else GFP_NOFS

    def _needs_state(self, call: Call) -> bool:
        """Tell whether the range of a set cuts a state, or has bytes without one.

        Bits that are set already split a state too: extent_prepare_write counts on it.
        """
        return self._cuts(call, lambda _held: True) or not self.states.test(
            call.start, call.end, ALL_BITS, True
        )

    def _cuts(self, call: Call, changes: Callable[[int], bool]) -> bool:
        """Tell whether the range has a part of a state whose bits are such that the call `changes` them."""
        return any(
            changes(bits) and (start < call.start <= end or start <= call.end < end)
            for start, end, bits in self.tree.states.states()
        )

    def _offsets(self, call: Call) -> list[int]:
        cells = self.states.cells
        return [cells.last_byte(cell) for cell in cells.of(call.start, call.end)]

    def _rows(self) -> list[tuple[int, int, int]]:
        rows: list[tuple[int, int, int]] = []
        for start, end, bits in self.tree.states.states():
            if rows and rows[-1][1] + 1 == start and rows[-1][2] == bits:
                rows[-1] = (rows[-1][0], end, bits)
            else:
                rows.append((start, end, bits))
        return rows
