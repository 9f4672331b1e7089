# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes a scene that goes wrong smaller: reads, steps, what is damaged, devices, and all numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from harness.direct_io.plan import BLOCK, FILES, SNAPSHOT, Action, Step, contents
from harness.direct_io.record import DirectRead
from harness.direct_io.scene import Damage, Scene, SceneRead
from loopdevs import BtrfsLayout
from loopdevs.layout import MINIMUM_DEVICES
from reference.direct_io.source import IoVec
from reference.shrinking import fewer, smaller

__all__ = ["shrink"]

Fails = Callable[[Scene], bool]


def shrink(scene: Scene, fails: Fails, first: int | None = None) -> Scene:
    """Return the smallest scene found that `fails` as `scene` does.

    `first` is the read that went wrong first, if that is known.
    """
    if first is not None:
        scene = _up_to(scene, fails, first)
    while True:
        before = scene
        scene = _fewer_reads(scene, fails)
        scene = _fewer_steps(scene, fails)
        scene = _simplest(scene, fails, _plainer_layouts)
        for number in range(len(scene.reads)):
            scene = _simplest(scene, fails, partial(_with_simpler_read, number))
        for number in range(len(scene.steps)):
            scene = _simplest(scene, fails, partial(_with_simpler_step, number))
        scene = _simplest(scene, fails, _nearer)
        if scene == before:
            return scene


def _up_to(scene: Scene, fails: Fails, first: int) -> Scene:
    """Leave out all reads behind the first wrong one, and if that suffices all before it."""
    alone = _with_reads(scene, [scene.reads[first]])
    until = _with_reads(scene, list(scene.reads[: first + 1]))
    return next((less for less in (alone, until) if fails(less)), scene)


def _fewer_reads(scene: Scene, fails: Fails) -> Scene:
    def still(reads: list[SceneRead]) -> bool:
        return bool(reads) and fails(_with_reads(scene, reads))

    return _with_reads(scene, fewer(scene.reads, still))


def _with_reads(scene: Scene, reads: list[SceneRead]) -> Scene:
    """Leave out what is made for other reads only, too."""
    return _without_unused(replace(scene, reads=tuple(reads)))


def _without_unused(scene: Scene) -> Scene:
    """Leave out the steps of files that are neither read nor shared by any that is."""
    needed = {_original(one.file) for one in scene.reads}
    for step in reversed(scene.steps):
        if step.file in needed and step.source:
            needed.add(step.source)
    return replace(scene, steps=tuple(step for step in scene.steps if step.file in needed))


def _original(name: str) -> str:
    inside = name.removeprefix(f"{SNAPSHOT}/")
    return f"{FILES}/{inside}" if inside != name else name


def _fewer_steps(scene: Scene, fails: Fails) -> Scene:
    def still(steps: list[Step]) -> bool:
        return fails(replace(scene, steps=tuple(steps)))

    return _without_unused(replace(scene, steps=tuple(fewer(scene.steps, still))))


def _simplest(scene: Scene, fails: Fails, candidates: Callable[[Scene], Iterator[Scene]]) -> Scene:
    """Take the first candidate that fails, for as long as there is one."""
    while True:
        found = next((one for one in candidates(scene) if one != scene and fails(one)), None)
        if found is None:
            return scene
        scene = found


def _plainer_layouts(scene: Scene) -> Iterator[Scene]:
    layout = scene.layout
    yield replace(scene, layout=BtrfsLayout(size_bytes=layout.size_bytes))
    yield replace(scene, layout=replace(layout, mount_options=(), mkfs_options=(), metadata="single"))
    for devices in range(MINIMUM_DEVICES[layout.data], layout.devices):
        yield replace(scene, layout=replace(layout, devices=devices))


def _with_simpler_step(number: int, scene: Scene) -> Iterator[Scene]:
    # What a step had shared may be gone with it.
    for simpler in _simpler_step(scene, scene.steps[number]) if number < len(scene.steps) else ():
        steps = (*scene.steps[:number], simpler, *scene.steps[number + 1 :])
        yield _without_unused(replace(scene, steps=steps))


def _simpler_step(scene: Scene, step: Step) -> Iterator[Step]:
    if step.action is Action.SHARE:
        yield Step(Action.WRITE, step.file, step.offset, _shared_bytes(scene, step), seed=1)
    for length in smaller(step.length, BLOCK, BLOCK):
        if length or step.action is Action.TRUNCATE:
            yield replace(step, length=length)
        if length and step.action is not Action.TRUNCATE:
            # The end may be what matters.
            behind = step.length - length
            yield replace(
                step, length=length, offset=step.offset + behind, source_offset=_behind(step, behind)
            )
    for offset in smaller(step.offset, BLOCK, BLOCK):
        yield replace(step, offset=offset)
    for offset in smaller(step.source_offset, BLOCK, BLOCK):
        yield replace(step, source_offset=offset)


def _shared_bytes(scene: Scene, step: Step) -> int:
    whole = contents(replace(scene.plan, read=[]))[step.source]
    return step.length or len(whole) - step.source_offset


def _behind(step: Step, distance: int) -> int:
    return step.source_offset + distance if step.source else 0


def _with_simpler_read(number: int, scene: Scene) -> Iterator[Scene]:
    for simpler in _simpler_read(scene.reads[number]):
        yield replace(scene, reads=(*scene.reads[:number], simpler, *scene.reads[number + 1 :]))


def _simpler_read(one: SceneRead) -> Iterator[SceneRead]:
    if one.file != _original(one.file):
        yield replace(one, file=_original(one.file))
    for damage in _less_damage(one.damage):
        yield replace(one, damage=damage)
    read = one.read
    for plain in (
        replace(read, aio=False),
        replace(read, nowait=False),
        replace(read, cached=False, drop_from=0, drop_bytes=0),
        replace(read, drop_from=0, drop_bytes=0),
        *(replace(read, iov=iov) for iov in _simpler_vectors(list(read.iov))),
        *(replace(read, offset=offset) for offset in smaller(read.offset, BLOCK, BLOCK)),
        *_ends(read),
    ):
        yield replace(one, read=plain)


def _ends(read: DirectRead) -> Iterator[DirectRead]:
    """Of a read into one vector, yield its end: that may be what matters."""
    if len(read.iov) == 1:
        base, length = read.iov[0]
        for less in filter(None, smaller(length, BLOCK, BLOCK)):
            yield replace(read, offset=read.offset + length - less, iov=[IoVec(base, less)])


def _less_damage(damage: tuple[Damage, ...]) -> Iterator[tuple[Damage, ...]]:
    for number, one in enumerate(damage):
        before, behind = damage[:number], damage[number + 1 :]
        yield (*before, *behind)
        if len(one.mirrors) > 1:
            for mirror in one.mirrors:
                left = tuple(m for m in one.mirrors if m != mirror)
                yield (*before, replace(one, mirrors=left), *behind)
        for offset in smaller(one.offset, BLOCK, BLOCK):
            yield (*before, replace(one, offset=offset), *behind)
        for inside in smaller(one.inside, BLOCK, BLOCK):
            yield (*before, replace(one, inside=inside), *behind)


def _simpler_vectors(iov: list[IoVec]) -> Iterator[list[IoVec]]:
    if len(iov) > 1:
        yield [IoVec(0, sum(length for _, length in iov))]
    for number, (base, length) in enumerate(iov):
        before, behind = iov[:number], iov[number + 1 :]
        if behind or before:
            yield [*before, *behind]
        for less in smaller(length, BLOCK, BLOCK):
            if less or before or behind:
                yield [*before, IoVec(base, less), *behind]
        for nearer in smaller(base, BLOCK, BLOCK):
            yield [*before, IoVec(nearer, length), *behind]


def _nearer(scene: Scene) -> Iterator[Scene]:
    """Move all of a file towards its beginning."""
    for name in scene.plan.made:
        first = min((step.offset for step in scene.steps if step.file == name and step.length), default=0)
        for offset in smaller(first, BLOCK, BLOCK):
            yield _moved(scene, name, first - offset)


def _moved(scene: Scene, name: str, distance: int) -> Scene:
    def moved(offset: int) -> int:
        return max(0, offset - distance)

    def step_moved(step: Step) -> Step:
        mine, shared = step.file == name, step.source == name
        size = mine and step.action is Action.TRUNCATE
        return replace(
            step,
            offset=moved(step.offset) if mine else step.offset,
            length=moved(step.length) if size else step.length,
            source_offset=moved(step.source_offset) if shared else step.source_offset,
        )

    def read_moved(one: SceneRead) -> SceneRead:
        if _original(one.file) != name:
            return one
        read = replace(one.read, offset=moved(one.read.offset), drop_from=moved(one.read.drop_from))
        return replace(one, read=read, damage=tuple(replace(d, offset=moved(d.offset)) for d in one.damage))

    return replace(
        scene, steps=tuple(map(step_moved, scene.steps)), reads=tuple(map(read_moved, scene.reads))
    )
