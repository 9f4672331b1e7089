# SPDX-License-Identifier: GPL-2.0-or-later
"""Scenes for the explorer: system calls of several tasks on one file, and bios that are done at any time.

What must hold, whatever comes when: each byte read is one that some order of the calls can put there; in the
end the file is what some order of the calls makes of it, in the cache and on disk; what fsync has returned
for is on disk; the file can be put away, and nothing is left of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reference.extent_map.behaviour import Behaviour
from reference.extent_map.bits import EXTENT_LOCKED
from reference.extent_map.ext2 import ext2_get_extent
from reference.extent_map.mount import Mount
from reference.extent_map.page_behaviour import PageBehaviour
from reference.extent_map.page_invariants import validate_at_rest
from reference.extent_map.ranges import lock_range, unlock_range
from reference.extent_map.release import drop_mappings
from reference.fsx import ByteFile, Kind, Mix, Operation, Random, generate, pattern
from reference.machine import Machine, Scenario, Steps, run_alone

__all__ = ["DIRECT_SCENES", "SCENES", "DirectScene", "Scene", "random_scene"]

CHANGES = (Kind.WRITE, Kind.MAP_WRITE, Kind.TRUNCATE)
PAGE = 4096


@dataclass(frozen=True)
class Scene:
    """Calls on one file: first `before`, one after the other, then each of `tasks` as a task."""

    name: str
    before: tuple[Operation, ...]
    tasks: tuple[tuple[Operation, ...], ...]
    block_size: int = PAGE
    """Bytes."""
    interleaves: bool = False
    """Whether completions run on other CPUs."""

    def scenario(self, trees: Behaviour, pages: PageBehaviour) -> Scenario:
        """Return what the explorer executes."""
        oracle = _Oracle(self)

        def build(machine: Machine) -> None:
            machine.interleaves = self.interleaves
            mount = Mount(machine.interrupts, trees, pages, block_size=self.block_size, blocks=24)
            for operation in self.before:
                run_alone(_call(mount, operation, None), machine.interrupts)
            for name, operations in zip("ABC", self.tasks, strict=False):
                machine.task(name, _calls(mount, operations, oracle))
            machine.at_end.append(lambda: _check_end(machine, mount, oracle))

        return build


@dataclass(frozen=True)
class DirectScene:
    """Calls of single functions by tasks, on a file of one byte, of which nothing is cached."""

    name: str
    tasks: tuple[Callable[[Mount], Steps[object]], ...]

    def scenario(self, trees: Behaviour, pages: PageBehaviour) -> Scenario:
        """Return what the explorer executes."""

        def build(machine: Machine) -> None:
            mount = Mount(machine.interrupts, trees, pages, blocks=8)
            for operation in (_write(0, 1), _REMOUNT):
                run_alone(_call(mount, operation, None), machine.interrupts)
            for name, task in zip("ABC", self.tasks, strict=False):
                machine.task(name, task(mount))
            machine.at_end.append(lambda: _read_and_put_away(machine, mount))

        return build


class _Oracle:
    """What the file can hold: `some` after some of the tasks' changes in any order, `final` after all."""

    def __init__(self, scene: Scene) -> None:
        changes = [tuple(op for op in task if op.kind in CHANGES) for task in scene.tasks]
        before = ByteFile()
        for operation in scene.before:
            before.execute(operation)
        self.some: list[bytes] = []
        self.final: list[bytes] = []
        self._follow(bytes(before.data), changes)
        self.zeroes = any(op.kind is Kind.TRUNCATE for task in changes for op in task)
        """Whether zeros can show where a truncate is under way."""

    def _follow(self, content: bytes, changes: list[tuple[Operation, ...]]) -> None:
        if content not in self.some:
            self.some.append(content)
        if not any(changes) and content not in self.final:
            self.final.append(content)
        for index, task in enumerate(changes):
            if task:
                file = ByteFile()
                file.data[:] = content
                file.execute(task[0])
                self._follow(bytes(file.data), [*changes[:index], task[1:], *changes[index + 1 :]])

    def check_read(self, operation: Operation, found: bytes) -> None:
        """Raise AssertionError if a byte is none that can be there."""
        for at, byte in enumerate(found, operation.offset):
            possible = {content[at] for content in self.some if at < len(content)}
            zero = self.zeroes and byte == 0
            assert byte in possible or zero, f"{operation} finds {byte:#04x} at {at}, possible is {possible}"

    def check_synced(self, mount: Mount) -> None:
        """Raise AssertionError if something is not on disk; nothing changes the file meanwhile."""
        if len(self.some) == 1:
            assert mount.on_disk(0, mount.inode.i_size) == self.some[0], (
                "fsync returns, and data is not on disk"
            )


def _calls(mount: Mount, operations: tuple[Operation, ...], oracle: _Oracle) -> Steps[None]:
    for operation in operations:
        yield from _call(mount, operation, oracle)


def _call(mount: Mount, operation: Operation, oracle: _Oracle | None) -> Steps[None]:
    kind, offset, length, _, seed = operation
    if kind in (Kind.READ, Kind.MAP_READ):
        read = mount.read if kind is Kind.READ else mount.map_read
        found = yield from read(offset, length)
        if isinstance(found, bytes) and oracle is not None:
            oracle.check_read(operation, found)
    elif kind is Kind.WRITE:
        written = yield from mount.write(offset, pattern(seed, length))
        assert written == length, f"{operation} answers {written}"
    elif kind is Kind.MAP_WRITE:
        yield from mount.map_write(offset, pattern(seed, length))
    elif kind is Kind.TRUNCATE:
        error = yield from mount.truncate(offset)
        assert not error, f"{operation} answers {error}"
    else:
        yield from _sync(mount, kind, oracle)


def _sync(mount: Mount, kind: Kind, oracle: _Oracle | None) -> Steps[None]:
    if kind is Kind.FSYNC:
        error = yield from mount.fsync()
        assert not error, f"fsync answers {error}"
        if oracle is not None:
            oracle.check_synced(mount)
    elif kind is Kind.INVALIDATE:
        yield from mount.writeback()
        yield from mount.invalidate()
    else:
        yield from mount.evict()


def _check_end(machine: Machine, mount: Mount, oracle: _Oracle) -> None:
    cached = _whole(machine, mount)
    assert cached in oracle.final, f"the file is {_summary(cached)} in the end"
    _put_away(machine, mount)
    on_disk = _whole(machine, mount)
    assert on_disk == cached, f"the file is {_summary(on_disk)} on disk, {_summary(cached)} in the cache"


def _read_and_put_away(machine: Machine, mount: Mount) -> None:
    # Mappings go with the page: there has to be one.
    _whole(machine, mount)
    _put_away(machine, mount)


def _whole(machine: Machine, mount: Mount) -> bytes:
    found = run_alone(mount.read(0, mount.inode.i_size + 1), machine.interrupts)
    assert isinstance(found, bytes), f"reading answers {found}"
    return found


def _put_away(machine: Machine, mount: Mount) -> None:
    error = run_alone(mount.fsync(), machine.interrupts)
    assert not error, f"fsync answers {error}"
    validate_at_rest(mount)
    run_alone(mount.evict(), machine.interrupts)
    validate_at_rest(mount)
    left = [*mount.tree.states, *mount.tree.maps]
    assert not left, f"left in the trees: {left}"


def _summary(content: bytes) -> str:
    runs: list[tuple[int, int]] = []
    for byte in content:
        if runs and runs[-1][0] == byte:
            runs[-1] = (byte, runs[-1][1] + 1)
        else:
            runs.append((byte, 1))
    shown = ", ".join(f"{byte:#04x} x {count}" for byte, count in runs if count > 8)
    return f"{len(content)} bytes ({shown or 'nothing twice'})"


def _write(offset: int, length: int, seed: int = 1) -> Operation:
    return Operation(Kind.WRITE, offset, length, 0, seed)


def _read(offset: int, length: int) -> Operation:
    return Operation(Kind.READ, offset, length)


_REMOUNT = Operation(Kind.REMOUNT)
_DROP = Operation(Kind.INVALIDATE)
_FSYNC = Operation(Kind.FSYNC)


def _cut(size: int) -> Operation:
    return Operation(Kind.TRUNCATE, size)


_APART = (_write(2048, 2048), _write(0, 2048))
"""Two blocks of a page that do not follow each other on disk: two bios."""

SCENES = (
    Scene("read, append", (_write(0, 100), _REMOUNT), ((_read(0, 200),), (_write(100, 100, 2),))),
    Scene("read, overwrite", (_write(0, PAGE), _REMOUNT), ((_read(0, PAGE),), (_write(0, PAGE, 2),))),
    Scene(
        "read, cut and extend",
        (_write(0, PAGE + 200), _REMOUNT),
        ((_read(PAGE, 100),), (_cut(100), _cut(PAGE + 200))),
    ),
    Scene("read, empty and extend", (_write(0, 200), _REMOUNT), ((_read(0, 100),), (_cut(0), _cut(200)))),
    Scene(
        "write back, cut",
        (_write(0, PAGE + 100), _FSYNC, _write(PAGE, 50, 2)),
        ((_DROP,), (_cut(PAGE),)),
    ),
    Scene("write back, fsync", _APART, ((_DROP,), (_FSYNC,)), block_size=2048),
    Scene("write back, overwrite", _APART, ((_DROP,), (_write(0, 100, 2),)), block_size=2048),
    Scene("write back on two CPUs", _APART, ((_FSYNC,),), block_size=2048, interleaves=True),
    Scene(
        "read on two CPUs",
        (_write(0, PAGE), _REMOUNT),
        ((_read(0, PAGE),),),
        block_size=2048,
        interleaves=True,
    ),
    Scene(
        "read, drop its neighbour",
        (_write(0, 2 * PAGE), _REMOUNT, _read(0, 1)),
        ((_read(PAGE, 10),), (_DROP,)),
        block_size=2048,
    ),
    Scene("drop, drop", (_write(0, 2 * PAGE), _FSYNC, _REMOUNT, _read(0, 2 * PAGE)), ((_DROP,), (_DROP,))),
    Scene(
        "read, drop its neighbour and cut",
        (_write(0, 2 * PAGE), _REMOUNT),
        ((_read(0, 10),), (_read(PAGE, 10), _DROP, _cut(PAGE))),
    ),
    Scene(
        "store, cut", (_write(0, 300),), ((Operation(Kind.MAP_WRITE, 200, 50, 0, 2),), (_cut(100), _cut(300)))
    ),
    Scene("write, write", (), ((_write(0, 100),), (_write(50, 100, 2),))),
)


def _get_extent(mount: Mount) -> Steps[None]:
    em = yield from ext2_get_extent(mount.io, 0, PAGE - 1, False)
    assert not isinstance(em, int)
    assert em.end - em.start == PAGE - 1, f"get_extent returns {em!r} for a block"
    mount.tree.free_extent_map(em)


def _release(mount: Mount) -> Steps[None]:
    yield from drop_mappings(mount.io, 0, PAGE - 1)


def _lock_and_unlock(mount: Mount) -> Steps[None]:
    yield from lock_range(mount.io, 0, 2 * PAGE - 1)
    yield from unlock_range(mount.io, 0, 2 * PAGE - 1)


def _lock_without_memory(mount: Mount) -> Steps[None]:
    yield from lock_range(mount.io, 0, 2 * PAGE - 1, fails_at=1)


def _lock_without_states(mount: Mount) -> Steps[None]:
    cache = mount.tree.state_cache
    cache.failing = range(1, 1 << 20)
    error = yield from lock_range(mount.io, 0, 2 * PAGE - 1)
    cache.failing = ()
    if not error:
        locked = yield from mount.tree.test_range_bit(0, 2 * PAGE - 1, EXTENT_LOCKED, True)
        assert locked, "lock_range returns 0, and the range is not locked"
        yield from unlock_range(mount.io, 0, 2 * PAGE - 1)


DIRECT_SCENES = (
    DirectScene("two look-ups of one block", (_get_extent, _get_extent)),
    DirectScene("two look-ups of one block, and a release", (_get_extent, _get_extent, _release)),
    DirectScene("lock_range and unlock_range", (_lock_and_unlock, _lock_and_unlock)),
    DirectScene("lock_range without memory", (_lock_without_memory,)),
    DirectScene("lock_range without memory for states", (_lock_without_states,)),
)


def random_scene(rng: Random, tasks: int = 3, calls: int = 3) -> Scene:
    """Return a scene of `tasks` tasks with `calls` calls each, on a file of three pages at most.

    Stores through a mapping are left out: what one puts behind the file's end, in its last page, comes up
    when the file grows, as on Linux of that time.
    """
    weights = {Kind.READ: 3, Kind.WRITE: 4, Kind.TRUNCATE: 2, Kind.FSYNC: 1, Kind.INVALIDATE: 3}
    mix = Mix(weights=weights, max_size=3 * PAGE, max_length=PAGE + 1024, align=512)
    model = ByteFile()
    source = generate(mix, rng, model)
    before = []
    for _ in range(4):
        before.append(next(source))
        model.execute(before[-1])
    if rng.random() < 0.5:
        before.append(_REMOUNT)
    programs = tuple(tuple(next(source) for _ in range(calls)) for _ in range(tasks))
    block_size = (1024, 2048, PAGE)[int(rng.random() * 3)]
    return Scene("random", tuple(before), programs, block_size, interleaves=rng.random() < 0.5)
