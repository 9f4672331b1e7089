# SPDX-License-Identifier: GPL-2.0-or-later
"""Scenes that go wrong become as small as what goes wrong allows, and nothing that matters is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from harness.direct_io import repeat
from harness.direct_io.plan import Action, Plan, Step, contents
from harness.direct_io.record import DirectRead
from harness.direct_io.scene import Damage, Scene, SceneRead
from harness.direct_io.shrink import shrink
from loopdevs import BtrfsLayout
from reference.direct_io.mainline import BioKind
from reference.direct_io.source import IoVec

BLOCK, MIB = 4096, 1 << 20

STEPS = (
    Step(Action.CREATE, "donors/a"),
    Step(Action.WRITE, "donors/a", 0, 3 * MIB, seed=4711),
    Step(Action.COMPRESS, "donors/z", how="zlib"),
    Step(Action.WRITE, "donors/z", 0, 128 * 1024, seed=4712, compressible=True),
    Step(Action.CREATE, "files/1"),
    Step(Action.SHARE, "files/1", 80 * BLOCK, 100 * BLOCK, source="donors/a", source_offset=7 * BLOCK),
    Step(Action.SHARE, "files/1", 200 * BLOCK, 9 * BLOCK, source="donors/z", source_offset=BLOCK),
    Step(Action.TRUNCATE, "files/1", length=300 * BLOCK + 5),
    Step(Action.WRITE, "files/2", 0, 30 * BLOCK, seed=4713),
)


def _read(offset: int, *iov: tuple[int, int]) -> DirectRead:
    return DirectRead(0, offset, [IoVec(*one) for one in iov], aio=True)


SCENE = Scene(
    BtrfsLayout(devices=4, size_bytes=512 * MIB, data="raid10", mount_options=("noatime",)),
    STEPS,
    (
        SceneRead("files/2", _read(0, (0, BLOCK))),
        SceneRead(
            "snapshot/1",
            _read(90 * BLOCK, (0, BLOCK), (2 * BLOCK, 30 * BLOCK)),
            (Damage(95 * BLOCK, 0, (0, 1)), Damage(97 * BLOCK, 0, (1,))),
        ),
        SceneRead("files/1", _read(200 * BLOCK, (0, 9 * BLOCK))),
    ),
)


def _sound(scene: Scene) -> bool:
    """Whether all that the scene needs is in it, as the kernel would have it."""
    made: set[str] = set()
    for number, step in enumerate(scene.steps):
        if step.source:
            held = contents(Plan(scene.steps[:number], [])).get(step.source, b"")
            if len(held) < step.source_offset + step.length:
                return False
        made.add(step.file)
    return {one.file.replace("snapshot", "files") for one in scene.reads} <= made


def _shrunk(wrong: Callable[[Scene], bool], first: int | None = None) -> Scene:
    asked = []

    def fails(scene: Scene) -> bool:
        asked.append(scene)
        return _sound(scene) and wrong(scene)

    assert fails(SCENE)
    small = shrink(SCENE, fails, first)
    assert fails(small)
    assert len(asked) < 2000
    return small


def test_a_read_that_is_wrong_alone() -> None:
    def wrong(scene: Scene) -> bool:
        return any(sum(length for _, length in one.read.iov) >= 5 * BLOCK for one in scene.reads)

    small = _shrunk(wrong, 1)
    assert small.layout == BtrfsLayout(size_bytes=512 * MIB)
    assert len(small.steps) == 1
    (one,) = small.reads
    assert (one.file, one.damage) == ("files/1", ())
    assert one.read == DirectRead(0, 0, [IoVec(0, 5 * BLOCK)])


def test_what_is_shared_stays_if_it_matters() -> None:
    def wrong(scene: Scene) -> bool:
        return any(step.source == "donors/z" for step in scene.steps)

    small = _shrunk(wrong)
    donor, file = small.steps
    assert (donor.file, donor.length) == ("donors/z", BLOCK)
    assert (file.file, file.source, file.offset, file.length, file.source_offset) == (
        *("files/1", "donors/z", 0),
        *(BLOCK, 0),
    )


def test_two_reads_and_a_damaged_copy_stay_if_they_matter() -> None:
    def wrong(scene: Scene) -> bool:
        damaged = any(1 in one.mirrors for read in scene.reads for one in read.damage)
        return damaged and len({one.file.replace("snapshot", "files") for one in scene.reads}) == 2

    small = _shrunk(wrong, 2)
    assert len(small.reads) == 2
    assert [one.damage for one in small.reads if one.damage] == [(Damage(0, 0, (1,)),)]
    assert all(len(one.read.iov) == 1 for one in small.reads)


def test_a_device_too_few_is_not_tried() -> None:
    def wrong(scene: Scene) -> bool:
        return scene.layout.data == "raid10"

    assert _shrunk(wrong).layout == replace(SCENE.layout, devices=2, mount_options=())


def test_scripts_call_bios_what_the_model_calls_them() -> None:
    """A script is no module of ours, so nothing else notices when the model has another word."""
    source = Path(repeat.__file__).read_text()
    assert all(f'"{kind.name}"' in source for kind in BioKind)
