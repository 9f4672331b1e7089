# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk in real time does what the same disk does in virtual time, one request after the other."""

from __future__ import annotations

import random
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from loopdevs import LoopdevsError
from loopdevs.rotational.layout import RotationalLayout, shrunk
from loopdevs.rotational.served import RECORD, ServedRequest, read_served, recorder
from loopdevs.rotational.spindle import Spindle
from loopdevs.rotational.virtual import in_virtual_time
from reference.disks import SATA_7200_2011, Policy

SIZE = 256 << 20
DEADLINE_S = 60.0


def submit_from_threads(spindle: Spindle, threads: int, each: int) -> None:
    """Submit random requests from several threads, which wait for each; the sizes are random too."""

    def work(seed: int) -> None:
        choice = random.Random(seed)
        for _ in range(each):
            nbytes = choice.choice((4096, 16384, 65536))
            byte = choice.randrange((SIZE - nbytes) // 4096) * 4096
            spindle.begin(byte, nbytes, write=choice.random() < 0.25)()

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(DEADLINE_S)
        assert not worker.is_alive()


@pytest.mark.parametrize("drive", list(Policy))
@pytest.mark.parametrize("queue_depth", [1, 31])
def test_given_the_same_arrivals_virtual_time_does_the_same(drive: Policy, queue_depth: int) -> None:
    layout = RotationalLayout(SIZE, shrunk(SIZE), 0.05, Policy.FIFO, drive, queue_depth)
    served: list[ServedRequest] = []
    submit_from_threads(Spindle(layout.make(), layout.scale, served.append), threads=6, each=25)
    assert len(served) == 150
    virtual = in_virtual_time(layout, served)
    assert [(v.tag, v.started_ns, v.ended_ns) for v in virtual] == [
        (s.number, s.begin_ns, s.end_ns) for s in served
    ]


def test_one_at_a_time_and_nobody_is_told_before_his_time() -> None:
    layout = RotationalLayout(SIZE, shrunk(SIZE), 0.05)
    served: list[ServedRequest] = []
    submit_from_threads(Spindle(layout.make(), layout.scale, served.append), threads=4, each=25)
    assert all(s.arrival_ns <= s.begin_ns < s.end_ns <= s.told_ns for s in served)
    assert all(a.end_ns <= b.begin_ns for a, b in pairwise(served))


def test_scaled_time_takes_as_much_longer() -> None:
    layout = RotationalLayout(SIZE, shrunk(SIZE), 4.0)
    served: list[ServedRequest] = []
    begin = time.monotonic()
    Spindle(layout.make(), layout.scale, served.append).begin(SIZE // 2, 4096, write=False)()
    assert time.monotonic() - begin >= 4.0 * (served[0].end_ns - served[0].begin_ns) / 1e9


def test_in_a_hurry_all_is_done_at_once_until_time_is_kept_again() -> None:
    # Each would take seconds.
    layout = RotationalLayout(SIZE, shrunk(SIZE), 1000.0)
    served: list[ServedRequest] = []
    spindle = Spindle(layout.make(), layout.scale, served.append)
    waits = [spindle.begin(n * 4096, 4096, write=False) for n in (1, 30_000, 7)]
    spindle.hurry()
    for wait in waits:
        wait()
    spindle.begin(0, 4096, write=True)()
    spindle.keep_time()
    told = threading.Event()
    spindle.submit(SIZE // 2, 4096, write=False, done=told.set)
    assert not told.wait(0.2)
    spindle.hurry()
    assert told.wait(DEADLINE_S)
    assert served == []


def test_what_was_served_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "served"
    note = recorder(file)
    lines = [ServedRequest(n, n, n + 1, n + 2, n + 3, 4096 * n, 4096, n == 2) for n in (1, 2, 3)]
    for line in lines:
        note(line)
    assert read_served(file) == lines
    with file.open("ab") as half_written:
        half_written.write(bytes(RECORD.size // 2))
    assert read_served(file) == lines


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"size_bytes": 5000}, "a disk of 5000 bytes is not possible: give a multiple of 4096"),
        ({"size_bytes": 0}, "a disk of 0 bytes is not possible: give a multiple of 4096"),
        ({"size_bytes": SATA_7200_2011.capacity + 8192 & ~4095}, "bytes are more than 7,200 rpm SATA disk"),
        ({"scale": 0.0}, r"a scale of 0 is not possible: give 0.01 to 1000"),
        ({"host": Policy.SHORTEST}, "a host does not know where the platters are"),
        ({"queue_depth": 0}, "one request at a time at least, not 0"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, object], line: str) -> None:
    with pytest.raises(LoopdevsError, match=line):
        RotationalLayout(**{"size_bytes": SIZE, **fields})  # type: ignore[arg-type]


def test_a_layout_survives_being_handed_over() -> None:
    layout = RotationalLayout(SIZE, shrunk(SIZE), 2.5, Policy.C_LOOK, Policy.FIFO, 7)
    assert RotationalLayout.from_json(layout.to_json()) == layout
