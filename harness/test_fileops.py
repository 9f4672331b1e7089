# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import fileops
from harness.fileops import DataMismatchError, FallocateMode
from harness.record.interruption import Interrupted, interruptible, interruptions_held
from reference.fsx import pattern

BLOCK = 4096


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"\xff" * 8 * BLOCK)
    return path


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_write_touches_its_range_only(file: Path) -> None:
    fileops.write(file, 10, 20, seed=3)
    data = file.read_bytes()
    assert data[10:30] == pattern(3, 20)
    assert data[:10] + data[30:] == b"\xff" * (8 * BLOCK - 20)


@pytest.mark.parametrize(
    ("offset", "length"), [(0, 10), (BLOCK - 5, 10), (3 * BLOCK, BLOCK), (8 * BLOCK - 1, 1)]
)
def test_mapped_writes_reach_the_file(file: Path, offset: int, length: int) -> None:
    fileops.map_write(file, offset, length, seed=4)
    data = file.read_bytes()
    assert len(data) == 8 * BLOCK
    assert data[offset : offset + length] == pattern(4, length)
    assert data[:offset] == b"\xff" * offset


def test_mapped_writes_stay_within_the_file(file: Path) -> None:
    with pytest.raises(ValueError, match="greater than file size"):
        fileops.map_write(file, 8 * BLOCK, 1, seed=4)


def test_direct_writes_are_read_back_directly(file: Path) -> None:
    fileops.direct_write(file, 2 * BLOCK, 3 * BLOCK, seed=5)
    assert fileops.direct_read(file, 2 * BLOCK, 3 * BLOCK) == pattern(5, 3 * BLOCK)
    assert fileops.direct_read(file, 7 * BLOCK, 3 * BLOCK) == b"\xff" * BLOCK


def test_scattered_blocks_do_not_adjoin_and_are_verified(tmp_path: Path) -> None:
    path = tmp_path / "scattered"
    fileops.write_scattered(path, 10, seed=6)
    data = path.read_bytes()
    assert len(data) == 19 * BLOCK
    assert data[BLOCK : 2 * BLOCK] == bytes(BLOCK)
    fileops.verify_scattered(path, 10, seed=6)


@pytest.mark.parametrize("offset", [3 * 2 * BLOCK + 17, 3 * 2 * BLOCK + BLOCK + 1])
def test_a_wrong_byte_in_a_block_or_a_gap_is_found(tmp_path: Path, offset: int) -> None:
    path = tmp_path / "scattered"
    fileops.write_scattered(path, 10, seed=6)
    with path.open("r+b") as f:
        f.seek(offset)
        old = f.read(1)
        f.seek(offset)
        f.write(bytes([old[0] ^ 1]))
    with pytest.raises(DataMismatchError, match=f"near offset {6 * BLOCK}"):
        fileops.verify_scattered(path, 10, seed=6)


def test_punched_holes_read_as_zeroes_and_are_not_allocated(file: Path) -> None:
    fileops.fallocate(file, FallocateMode.PUNCH_HOLE | FallocateMode.KEEP_SIZE, BLOCK, 2 * BLOCK)
    data = file.read_bytes()
    assert data[BLOCK : 3 * BLOCK] == bytes(2 * BLOCK)
    assert data[:BLOCK] + data[3 * BLOCK :] == b"\xff" * 6 * BLOCK


def test_preallocation_extends_or_keeps_the_size(file: Path) -> None:
    fileops.fallocate(file, FallocateMode.KEEP_SIZE, 8 * BLOCK, 4 * BLOCK)
    assert file.stat().st_size == 8 * BLOCK
    assert file.stat().st_blocks * 512 >= 12 * BLOCK
    fileops.fallocate(file, FallocateMode.ALLOCATE, 8 * BLOCK, BLOCK)
    assert file.stat().st_size == 9 * BLOCK


def test_a_refusal_names_the_file(file: Path) -> None:
    with pytest.raises(OSError, match=r"Operation not supported: '.*file'") as refusal:
        fileops.fallocate(file, FallocateMode.PUNCH_HOLE, 0, BLOCK)  # without KEEP_SIZE
    assert refusal.value.errno == errno.EOPNOTSUPP
    with pytest.raises(OSError, match=r"'.*file'"):
        fileops.scrub(file, 1)


def test_truncate_cuts_extends_and_creates(file: Path, tmp_path: Path) -> None:
    fileops.truncate(file, 5)
    assert file.read_bytes() == b"\xff" * 5
    fileops.truncate(file, 7)
    assert file.read_bytes() == b"\xff" * 5 + b"\0\0"
    fileops.truncate(tmp_path / "new", 3)
    assert (tmp_path / "new").read_bytes() == bytes(3)


def test_copy_and_digest(file: Path, tmp_path: Path) -> None:
    fileops.write(file, 0, 3 * BLOCK, seed=8)
    fileops.copy(file, tmp_path / "copy")
    fileops.verify_digest(tmp_path / "copy", fileops.digest(file))
    fileops.write(file, BLOCK, 1, seed=9)
    with pytest.raises(DataMismatchError, match="SHA-256"):
        fileops.verify_digest(file, fileops.digest(tmp_path / "copy"))


def test_syncing_works_on_any_file_system(file: Path, tmp_path: Path) -> None:
    fileops.fsync(file)
    fileops.sync_file_range(file, 0, BLOCK)
    fileops.syncfs(tmp_path)
    fileops.drop_cache(file)
    assert file.read_bytes() == b"\xff" * 8 * BLOCK


def test_nothing_stays_open(file: Path) -> None:
    before = open_files()
    fileops.write(file, 0, 10, seed=1)
    fileops.map_write(file, 0, 10, seed=1)
    fileops.direct_write(file, 0, BLOCK, seed=1)
    fileops.direct_read(file, 0, BLOCK)
    fileops.fsync(file)
    with pytest.raises(OSError, match="argument"):
        fileops.direct_write(file, 1, BLOCK, seed=1)
    with pytest.raises(FileNotFoundError):
        fileops.fsync(file.parent / "none")
    assert open_files() == before


def test_a_new_file_cannot_lose_its_copy_on_write_twice(file: Path) -> None:
    with pytest.raises(FileExistsError):
        fileops.set_nodatacow(file)
    with pytest.raises(FileExistsError):
        fileops.set_compression(file, "zlib")
    assert file.stat().st_size == 8 * BLOCK


def test_a_signal_during_an_open_leaves_no_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it left kept the file system busy, and the run could not clear up."""
    opened: list[int] = []
    real = os.open

    def interrupted(*arguments: Any) -> int:
        opened.append(real(*arguments))
        os.kill(os.getpid(), signal.SIGTERM)
        return opened[0]

    @interruptions_held()
    @interruptible()
    def run() -> None:
        with fileops._opened(tmp_path / "file", os.O_RDWR | os.O_CREAT):
            pytest.fail("the signal was lost")

    monkeypatch.setattr("os.open", interrupted)
    with pytest.raises(Interrupted):
        run()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened[0])


def test_ranges_are_copied_up_to_the_end_that_there_was(file: Path, tmp_path: Path) -> None:
    fileops.write(file, 0, 8 * BLOCK, seed=10)
    fileops.copy_range(file, file, 7 * BLOCK + 1, 2 * BLOCK, 8 * BLOCK + 5)
    data = file.read_bytes()
    assert data == pattern(10, 8 * BLOCK) + bytes(5) + pattern(10, 8 * BLOCK)[7 * BLOCK + 1 :]
    fileops.copy_range(file, tmp_path / "other", 10, 20, 0)
    assert (tmp_path / "other").read_bytes() == data[10:30]


@pytest.mark.parametrize("read", [fileops.read, fileops.map_read])
def test_reads_give_their_range(file: Path, read: Callable[[Path, int, int], bytes]) -> None:
    fileops.write(file, 0, 8 * BLOCK, seed=11)
    assert read(file, BLOCK - 5, 20) == pattern(11, 8 * BLOCK)[BLOCK - 5 : BLOCK + 15]


def test_reads_end_with_the_file(file: Path) -> None:
    assert fileops.read(file, 8 * BLOCK - 3, 10) == b"\xff" * 3
    with pytest.raises(ValueError, match="greater than file size"):
        fileops.map_read(file, 8 * BLOCK - 3, 4)
