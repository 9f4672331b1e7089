# SPDX-License-Identifier: GPL-2.0-or-later
"""The naive model of `reference.fsx` against files of this kernel: in memory (tmpfs), and where tests write.

`suites/extent_state/test_live_fsx.py` has the same on btrfs.
"""

from __future__ import annotations

import errno
import os
import random
import signal
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.realfile import RealFile
from harness.record.interruption import Interrupted, interruptible, interruptions_held
from reference.fsx import ByteFile, Kind, Mix, Operation, check, generate
from reference.fsx.testing import edges

BLOCK = 4096
MEMORY = Path("/dev/shm")
EVERYWHERE = frozenset(Kind) - {
    *(Kind.DIRECT_READ, Kind.DIRECT_WRITE, Kind.ZERO_RANGE, Kind.ZERO_WITHIN),
    *(Kind.COLLAPSE_RANGE, Kind.INSERT_RANGE, Kind.CLONE, Kind.DEDUPE),
}
"""What every file system has that tests are run on."""


@pytest.fixture(params=["memory", "tests"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    if request.param == "tests":
        yield tmp_path / "file"
        return
    with tempfile.TemporaryDirectory(prefix="iodiff-test-", dir=MEMORY) as folder:
        yield Path(folder) / "file"


def new(path: Path) -> RealFile:
    path.unlink(missing_ok=True)
    file = RealFile(path, BLOCK)
    file.create()
    return file


@pytest.fixture
def supported(path: Path) -> frozenset[Kind]:
    """What the file system of `path` can do to files, found by doing it."""
    found = set()
    for kind in Kind:
        file = new(path)
        file.execute(Operation(Kind.WRITE, 0, 4 * BLOCK))
        try:
            if file.execute(Operation(kind, 0, BLOCK, 2 * BLOCK)) != errno.EINVAL:
                found.add(kind)
        except OSError as error:
            assert error.errno in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV), error  # noqa: PT017
    return frozenset(found)


NUMBERS = st.one_of(
    st.integers(0, 5).map(lambda blocks: blocks * BLOCK),
    st.integers(0, 5 * BLOCK),
)
LENGTHS = st.one_of(st.integers(1, 4).map(lambda blocks: blocks * BLOCK), st.integers(1, 4 * BLOCK))


def operations(kinds: frozenset[Kind]) -> st.SearchStrategy[list[Operation]]:
    """Return a strategy for any operations, those that are refused included."""
    # File systems differ in what they say of unaligned direct I/O.
    kinds -= {Kind.DIRECT_READ, Kind.DIRECT_WRITE}
    one = st.builds(Operation, st.sampled_from(sorted(kinds)), NUMBERS, LENGTHS, NUMBERS, st.integers(0, 9))
    return st.lists(one, max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_the_model_answers_as_the_kernel_does(
    path: Path, supported: frozenset[Kind], data: st.DataObject
) -> None:
    mismatch = check(new(path), ByteFile(BLOCK), data.draw(operations(supported)))
    assert mismatch is None, mismatch.operations


def test_the_model_refuses_at_the_edges_what_the_kernel_refuses(
    path: Path, supported: frozenset[Kind]
) -> None:
    sequences = [sequence for sequence in edges(BLOCK) if sequence[-1].kind in supported]
    assert len(sequences) > 100
    for sequence in sequences:
        assert (mismatch := check(new(path), ByteFile(BLOCK), sequence)) is None, str(mismatch)


@pytest.mark.parametrize("seed", range(3))
def test_generated_operations_do_to_a_file_what_they_do_to_the_model(
    path: Path, supported: frozenset[Kind], seed: int
) -> None:
    assert supported >= EVERYWHERE
    mix = Mix({kind: weight for kind, weight in Mix().weights.items() if kind in supported})
    model = ByteFile(BLOCK)
    mismatch = check(new(path), model, islice(generate(mix, random.Random(seed), model), 500))
    assert mismatch is None, mismatch


def test_collapse_and_insert_fall_back_on_cloning(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole blocks, however the file ends, and each piece no longer than the distance."""
    clones: list[tuple[int, int, int]] = []

    def reflink(source: Path, target: Path, offset: int, length: int, to: int) -> None:
        assert (offset | length | to) % BLOCK == 0
        assert abs(offset - to) >= length
        clones.append((offset, length, to))
        data = source.read_bytes()
        with target.open("r+b") as f:
            f.seek(to)
            f.write(data[offset : offset + length])

    def fallocate(path: Path, mode: int, offset: int, length: int) -> None:
        if mode in (8, 32):
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        with path.open("r+b") as f:
            f.seek(offset)
            f.write(bytes(length))

    monkeypatch.setattr("harness.fileops.reflink", reflink)
    monkeypatch.setattr("harness.fileops.fallocate", fallocate)
    mix = Mix({Kind.WRITE: 1, Kind.TRUNCATE: 1, Kind.COLLAPSE_RANGE: 2, Kind.INSERT_RANGE: 2, Kind.READ: 1})
    file, model = new(path), ByteFile(BLOCK)
    assert check(file, model, islice(generate(mix, random.Random(1), model), 200)) is None
    assert clones
    assert file.by_cloning == {Kind.COLLAPSE_RANGE, Kind.INSERT_RANGE}
    for refused in (
        Operation(Kind.COLLAPSE_RANGE, 0, 1000 * BLOCK),
        Operation(Kind.COLLAPSE_RANGE, 1, BLOCK),
        Operation(Kind.INSERT_RANGE, 1000 * BLOCK, BLOCK),
        Operation(Kind.INSERT_RANGE, 0, BLOCK + 1),
    ):
        before = path.read_bytes()
        assert file.execute(refused) == model.execute(refused) == errno.EINVAL
        assert path.read_bytes() == before


def test_a_byte_that_somebody_else_changed_is_found(path: Path) -> None:
    class Disturbed(RealFile):
        def execute(self, operation: Operation) -> bytes | int:
            answer = super().execute(operation)
            if operation.kind is Kind.FSYNC:
                data = bytearray(self.path.read_bytes())
                data[777] ^= 1
                self.path.write_bytes(data)
            return answer

    path.touch()
    write, sync = Operation(Kind.WRITE, 0, 1000, seed=1), Operation(Kind.FSYNC)
    mismatch = check(Disturbed(path), ByteFile(BLOCK), [write, sync])
    assert mismatch is not None
    assert str(mismatch).startswith("read 0..1000 (1001 bytes): byte 777 is ")


def test_what_says_nothing_of_contents_is_raised(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("harness.fileops.fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        new(path).execute(Operation(Kind.ALLOCATE, 0, 10))


def test_remounting_is_left_to_whoever_can(path: Path) -> None:
    asked = []
    file = RealFile(path, BLOCK, lambda: asked.append("remount"))
    file.create()
    assert file.execute(Operation(Kind.REMOUNT)) == 0
    assert asked == ["remount"]


def test_a_signal_waits_for_the_end_of_an_operation(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it struck as a file was opened or closed, the file system stayed busy."""
    ended = []

    def fsync(path: Path) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        ended.append(path)

    @interruptions_held()
    @interruptible()
    def run() -> None:
        file.execute(Operation(Kind.FSYNC))
        pytest.fail("the signal was lost")

    file = new(path)
    monkeypatch.setattr("harness.fileops.fsync", fsync)
    with pytest.raises(Interrupted):
        run()
    assert ended == [path]
