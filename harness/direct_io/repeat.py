# SPDX-License-Identifier: GPL-2.0-or-later
"""Part of a script that repeats reads: makes files and reads, and compares. The standard library suffices.

This is no module of iodiff's: `harness.direct_io.script` puts it into scripts as it stands here.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import mmap
import os
import platform
import random
import re
import struct
import subprocess
import sys
import threading
import zlib
from array import array
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

__all__ = ["read_all", "share", "write"]

BLOCK = 4096
POISON = 0xA5
KINDS = 12
FICLONERANGE = 0x4020940D
EVENTS = {
    "block/block_bio_queue": "dev",
    "filemap/mm_filemap_add_to_page_cache": "s_dev",
    "iomap/iomap_dio_rw_begin": "dev",
}
"""Tracepoints, where the kernel has them, and what says of which device or file system they are."""
BIO = re.compile(r"-(\d+) +\[\d+\].* block_bio_queue: (\d+),(\d+) (\w+) (\d+) \+ (\d+) \[(.*)\]")
PAGE = re.compile(r" mm_filemap_add_to_page_cache: dev \S+ ino (\w+) .*ofs=(\d+)")
DIRECT = re.compile(r" iomap_dio_rw_begin: .* ino 0x(\w+) .*offset 0x(\w+) length 0x(\w+)")
OF_KERNEL = ("kworker", "btrfs")


def write(path: str, offset: int, length: int, seed: int, words: int) -> None:
    """Write blocks each of which counts up from a number of its own, for so many words, and is zeros then."""
    numbers = random.Random(seed)
    data = bytearray()
    while len(data) < length:
        start = numbers.getrandbits(63)
        data += array("Q", range(start, start + words)).tobytes().ljust(BLOCK, b"\0")
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    if os.pwrite(fd, data[:length], offset) != length:
        sys.exit(f"{path}: a write stopped early")
    os.fsync(fd)
    os.close(fd)


def share(source: str, begin: int, length: int, path: str, offset: int) -> None:
    """Have a file share a range of another one; length 0 is to its end."""
    one, other = os.open(source, os.O_RDONLY), os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    fcntl.ioctl(other, FICLONERANGE, struct.pack("=qQQQ", one, begin, length, offset))


class Trace:
    """What the kernel does for reads, by a tracing instance of our own."""

    def __init__(self, instance: Path, mount: Path, devices: list[str]) -> None:
        self.instance = instance
        self.numbers = [Path(device).stat().st_rdev for device in devices]
        wanted = [os.major(n) << 20 | os.minor(n) for n in (*self.numbers, of_file_system(mount))]
        instance.mkdir()
        for event, field in EVENTS.items():
            folder = instance / "events" / event
            if folder.exists():
                (folder / "filter").write_text(" || ".join(f"{field} == {number}" for number in wanted))
                (folder / "enable").write_text("1")

    def clear(self) -> None:
        """Forget what was."""
        (self.instance / "trace").write_text("")

    def seen(self, inode: int, tid: int) -> dict[str, list[Any]]:
        """Return what was done since then."""
        found: dict[str, list[Any]] = {"bios": [], "repairs": [], "cached pages": [], "direct calls": []}
        for line in (self.instance / "trace").read_text().splitlines():
            if match := BIO.search(line):
                self._add_bio(found, match.groups(), tid)
            elif (match := PAGE.search(line)) and int(match[1], 16) == inode:
                found["cached pages"].append(int(match[2]) // BLOCK)
            elif (match := DIRECT.search(line)) and int(match[1], 16) == inode:
                found["direct calls"].append([int(match[2], 16), int(match[3], 16)])
        found["repairs"].sort()
        return found

    def _add_bio(self, found: dict[str, list[Any]], told: tuple[str, ...], tid: int) -> None:
        pid, major, minor, flags, sector, sectors, name = told
        mine = int(pid) == tid
        if "M" in flags or int(sectors) == 0 or not (mine or name.startswith(OF_KERNEL)):
            return
        device = self.numbers.index(os.makedev(int(major), int(minor))) + 1
        place = [device, int(sector) * 512, int(sectors) * 512]
        if "W" in flags:
            found["repairs"].append(["write", "REPAIR", *place])
            return
        kind = (
            "DIRECT" if "S" in flags else "BUFFERED" if "A" in flags else "COMPRESSED" if mine else "REPAIR"
        )
        if mine:
            found["bios"].append([kind, *place])
        else:
            found["repairs"].append(["read", kind, *place])


def of_file_system(mount: Path) -> int:
    """Return the number that the kernel knows a file system by: stat(2) tells another one."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if fields[4] == str(mount):
            return os.makedev(*map(int, fields[2].split(":")))
    sys.exit(f"{mount} is not mounted")


def crc32c(data: bytes) -> int:
    """Return the checksum of blocks, which zlib does not have."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC32C[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def crc32c_of(byte: int) -> int:
    """Return what one byte does to the checksum."""
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


CRC32C = [crc32c_of(byte) for byte in range(256)]


class Image:
    """The file below a device, past the page cache."""

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_DIRECT)

    def read(self, place: int) -> bytes:
        """Return a block."""
        with mmap.mmap(-1, BLOCK) as memory:
            os.preadv(self.fd, [memory], place)
            return memory[:]

    def write(self, place: int, data: bytes) -> None:
        """Overwrite a block."""
        with mmap.mmap(-1, BLOCK) as memory:
            memory[:] = data
            os.pwritev(self.fd, [memory], place)


def damage(images: list[Image], copies: list[dict[str, Any]]) -> None:
    """Damage copies, if all lie where they lay when the script was made; else end the script."""
    for copy in copies:
        if crc32c(images[copy["device"] - 1].read(copy["place"])) != copy["before"]:
            print(f"device {copy['device']} has another block at {copy['place']} than there was once")
            sys.exit(2)
    for copy in copies:
        if copy["damaged"]:
            start = copy["place"] * 64 + copy["device"]
            data = array("Q", range(start, start + BLOCK // 8)).tobytes()
            images[copy["device"] - 1].write(copy["place"], data)


def in_thread(kind: int, function: Callable[[], Any]) -> Any:
    """Call a function in a thread whose number, divided by KINDS, leaves `kind`: it decides on copies."""
    results: list[Any] = []

    def run() -> None:
        if threading.get_native_id() % KINDS == kind:
            results.append(function())

    while not results:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    return results[0]


def read_into(fd: int, memory: mmap.mmap, read: dict[str, Any]) -> int:
    """Make one read; return bytes, or -errno."""
    flags = os.RWF_NOWAIT if read["nowait"] else 0
    if read["aio"]:
        return by_io_submit(fd, memory, read, flags)
    view = memoryview(memory)
    vectors = [view[base : base + length] for base, length in read["vectors"]]
    try:
        return os.preadv(fd, vectors, read["offset"], flags)
    except OSError as error:
        return -(error.errno or 0)
    finally:
        for vector in (*vectors, view):
            vector.release()


def by_io_submit(fd: int, memory: mmap.mmap, read: dict[str, Any], flags: int) -> int:
    """Make one read by io_setup, io_submit, io_getevents and io_destroy: system calls 206 on, or 0 on."""
    setup, destroy, getevents, submit = (
        (206, 207, 208, 209) if platform.machine() == "x86_64" else (0, 1, 4, 2)
    )
    call = ctypes.CDLL(None, use_errno=True).syscall
    buffer = (ctypes.c_char * len(memory)).from_buffer(memory)
    start = ctypes.addressof(buffer)
    numbers = [number for base, length in read["vectors"] for number in (start + base, length)]
    vectors = (ctypes.c_uint64 * len(numbers))(*numbers)
    # struct iocb: data, key, rw_flags, lio_opcode (7: PREADV), reqprio, fildes, buf, nbytes, offset.
    control = struct.pack(
        "=QIiHhIQQqQII",
        *(0, 0, flags, 7, 0, fd, ctypes.addressof(vectors), len(numbers) // 2, read["offset"], 0, 0, 0),
    )
    iocb = ctypes.create_string_buffer(control, len(control))
    pointers = (ctypes.c_uint64 * 1)(ctypes.addressof(iocb))
    context, event = ctypes.c_uint64(0), (ctypes.c_int64 * 4)()
    if call(setup, 1, ctypes.byref(context)):
        sys.exit("io_setup failed")
    try:
        if call(submit, context, 1, pointers) != 1:
            return -ctypes.get_errno()
        call(getevents, context, ctypes.c_long(1), ctypes.c_long(1), event, None)
        return event[2]
    finally:
        call(destroy, context)


def make_read(fd: int, memory: mmap.mmap, images: list[Image], trace: Trace, read: dict[str, Any]) -> Any:
    """Make a read, and return what came of it, by the names of what the model says."""
    if read["drop"] is None:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    else:
        begin, length = read["drop"]
        # A length of 0 would be all.
        if length:
            os.posix_fadvise(fd, begin, length, os.POSIX_FADV_DONTNEED)
    used = read["memory_bytes"]
    memory[:used] = bytes([POISON]) * used
    originals = [images[copy["device"] - 1].read(copy["place"]) for copy in read["copies"]]
    damage(images, read["copies"])
    trace.clear()
    found: dict[str, Any] = {"return values": read_into(fd, memory, read)}
    found["memory"] = zlib.crc32(memory[:used])
    found["copies on disk"] = []
    for copy, original in zip(read["copies"], originals, strict=True):
        image = images[copy["device"] - 1]
        found["copies on disk"].append(crc32c(image.read(copy["place"])))
        if copy["damaged"]:
            image.write(copy["place"], original)
    return found | trace.seen(os.fstat(fd).st_ino, threading.get_native_id())


def compare(number: int, read: dict[str, Any], found: dict[str, Any]) -> bool:
    """Print what a read came to; return whether it is as the model says."""
    print(f"read {number} of {read['file']} at {read['offset']}, vectors {read['vectors']}")
    same = True
    for name, model in read["model"].items():
        if model == found[name]:
            print(f"  {name}: as the model says")
            continue
        same = False
        print(f"  {name}: DIFFERENT\n    model  {model}\n    kernel {found[name]}")
    return same


def compare_errors(mount: Path, model: list[int] | None) -> bool:
    """Print the devices' counts of bad checksums; return whether they are as the model says."""
    if model is None:
        return True
    told = subprocess.run(["btrfs", "device", "stats", mount], capture_output=True, text=True, check=True)
    kernel = [int(count) for count in re.findall(r"corruption_errs +(\d+)", told.stdout)]
    print(f"corruption_errs: model {model}, kernel {kernel}{'' if kernel == model else ': DIFFERENT'}")
    return kernel == model


def read_all(work: Path, devices: list[str], told: dict[str, Any]) -> int:
    """Make all reads; return 1 if one is not as the model says."""
    mount, reads = work / "mnt", told["reads"]
    images = [Image(work / f"device-{number}.img") for number in range(len(devices))]
    trace = Trace(work / "tracing/instances" / work.name, mount, devices)
    files: dict[str, int] = {}
    same = True
    try:
        with mmap.mmap(-1, max(read["memory_bytes"] for read in reads)) as memory:
            # Pages that were never touched would make the kernel give up reading directly.
            memory[:] = bytes(len(memory))
            for number, read in enumerate(reads):
                if read["file"] not in files:
                    files[read["file"]] = os.open(mount / read["file"], os.O_RDONLY | os.O_DIRECT)
                    # So it is known which pages a read that is not direct will get.
                    os.posix_fadvise(files[read["file"]], 0, 0, os.POSIX_FADV_RANDOM)
                fd = files[read["file"]]
                found = in_thread(read["thread"], partial(make_read, fd, memory, images, trace, read))
                same &= compare(number, read, found)
        same &= compare_errors(mount, told["corruption_errs"])
    finally:
        with contextlib.suppress(OSError):
            trace.instance.rmdir()
    return 0 if same else 1


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "write":
        write(rest[0], *map(int, rest[1:]))
    elif what == "share":
        share(rest[0], int(rest[1]), int(rest[2]), rest[3], int(rest[4]))
    else:
        sys.exit(read_all(Path(rest[0]), rest[1:], json.load(sys.stdin)))
