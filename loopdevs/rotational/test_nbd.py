# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk on a socket: what the protocol says, said by a client of our own, and by QEMU."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from loopdevs import LoopdevsError, RotationalDrive, RotationalLayout, Workspace, shrunk
from loopdevs.rotational.nbd import Command, Option, TransmissionFlag
from loopdevs.rotational.virtual import in_virtual_time

SIZE = 64 << 20
DEADLINE_S = 30.0
QEMU = "qemu-system-x86_64"
CLIENT_FLAGS = struct.pack(">I", 3)


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[RotationalDrive]:
    with Workspace.create(tmp_path / "run") as workspace:
        yield workspace.rotational_drive(RotationalLayout(SIZE, shrunk(SIZE), scale=0.1))
    assert list(tmp_path.iterdir()) == []


class Client:
    """The other side, as simple as can be; requests are numbered from 1."""

    def __init__(self, path: Path) -> None:
        self.line = socket.socket(socket.AF_UNIX)
        self.line.settimeout(DEADLINE_S)
        self.line.connect(str(path))
        assert self.receive(18) == b"NBDMAGICIHAVEOPT\0\3"
        self.line.sendall(CLIENT_FLAGS)
        self.asked = 0

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.line.close()

    def receive(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            part = self.line.recv(length - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def option(self, option: int, data: bytes = b"") -> list[tuple[int, bytes]]:
        """Ask for an option and return the answers, kind and data, up to the last."""
        self.line.sendall(b"IHAVEOPT" + struct.pack(">II", option, len(data)) + data)
        answers = []
        while True:
            magic, about, kind, length = struct.unpack(">QIII", self.receive(20))
            assert (magic, about) == (0x3E889045565A9, option)
            answers.append((kind, self.receive(length)))
            if kind == 1 or kind & 1 << 31:
                return answers

    def ask(self, command: int, byte: int, nbytes: int, data: bytes = b"") -> int:
        """Send a request and return its number."""
        self.asked += 1
        self.line.sendall(struct.pack(">IHHQQI", 0x25609513, 0, command, self.asked, byte, nbytes) + data)
        return self.asked

    def answer(self, nbytes: int = 0) -> tuple[int, int, bytes]:
        """Return the number of the next request answered, its error, and the data, if it was a read."""
        magic, error, number = struct.unpack(">IIQ", self.receive(16))
        assert magic == 0x67446698
        return number, error, b"" if error else self.receive(nbytes)


@pytest.fixture
def client(drive: RotationalDrive) -> Iterator[Client]:
    with Client(drive.socket) as client:
        assert client.option(Option.GO, bytes(6))[-1] == (1, b"")
        yield client


def test_what_the_export_says_of_itself(drive: RotationalDrive) -> None:
    with Client(drive.socket) as client:
        (_, export), (_, sizes), end = client.option(Option.INFO, bytes(6))
        assert end == (1, b"")
        kind, size, flags = struct.unpack(">HQH", export)
        assert (kind, size) == (0, SIZE)
        assert TransmissionFlag(flags) & TransmissionFlag.ROTATIONAL
        assert struct.unpack(">HIII", sizes) == (3, 1, 4096, 32 << 20)
        assert client.option(Option.LIST) == [(2, bytes(4)), (1, b"")]
        assert client.option(8) == [(1 << 31 | 1, b"")]
        assert client.option(Option.INFO, b"\0\0\0\1x\0\0") == [(1 << 31 | 6, b"")]
        assert client.option(Option.ABORT) == [(1, b"")]


def test_what_was_written_is_read_until_it_is_discarded(client: Client, drive: RotationalDrive) -> None:
    data = os.urandom(16384)
    assert client.ask(Command.WRITE, 4096, 16384, data) == 1
    assert client.answer() == (1, 0, b"")
    client.ask(Command.READ, 4096, 16384)
    assert client.answer(16384) == (2, 0, data)
    client.ask(Command.FLUSH, 0, 0)
    assert client.answer() == (3, 0, b"")
    client.ask(Command.TRIM, 4096, 8192)
    assert client.answer() == (4, 0, b"")
    client.ask(Command.READ, 4096, 16384)
    assert client.answer(16384) == (5, 0, bytes(8192) + data[8192:])
    assert [(s.byte, s.nbytes, s.write) for s in drive.served()] == [
        (4096, 16384, True),
        (4096, 16384, False),
        (4096, 16384, False),
    ]


def test_answers_come_in_the_order_of_the_disk(client: Client, drive: RotationalDrive) -> None:
    places = [SIZE // 4096 * n // 16 * 4096 for n in (1, 15, 2, 14, 3, 13, 4)]
    for place in places:
        client.ask(Command.READ, place, 4096)
    answered = [client.answer(4096)[0] for _ in places]
    assert answered == [request.number for request in drive.served()]
    assert answered == [request.tag for request in in_virtual_time(drive.layout, drive.served())]


@pytest.mark.parametrize(
    ("command", "byte", "nbytes"),
    [(Command.READ, SIZE - 4096, 8192), (Command.TRIM, SIZE, 1), (99, 0, 0)],
)
def test_a_request_that_cannot_be_is_an_error_and_the_next_is_served(
    client: Client, command: int, byte: int, nbytes: int
) -> None:
    client.ask(command, byte, nbytes)
    assert client.answer() == (1, errno.EINVAL, b"")
    client.ask(Command.READ, 0, 4096)
    assert client.answer(4096) == (2, 0, bytes(4096))


@pytest.mark.parametrize(
    "rubbish",
    [
        struct.pack(">IHHQQI", 0xBAD, 0, 0, 1, 0, 4096),
        struct.pack(">IHHQQI", 0x25609513, 0, Command.READ, 1, 0, (32 << 20) + 1),
        struct.pack(">IHHQQI", 0x25609513, 0, Command.DISC, 1, 0, 0),
    ],
)
def test_who_does_not_speak_the_protocol_is_left_and_the_next_is_served(
    client: Client, drive: RotationalDrive, rubbish: bytes
) -> None:
    client.line.sendall(rubbish)
    with pytest.raises(EOFError):
        client.receive(1)
    with Client(drive.socket) as other:
        assert other.option(Option.GO, bytes(6))[-1] == (1, b"")
        other.ask(Command.READ, 0, 4096)
        assert other.answer(4096) == (1, 0, bytes(4096))


def test_options_without_end_are_not_listened_to(drive: RotationalDrive) -> None:
    with Client(drive.socket) as client:
        client.line.sendall(b"IHAVEOPT" + struct.pack(">II", Option.GO, 1 << 30))
        with pytest.raises((EOFError, ConnectionResetError)):
            client.receive(1)


def test_an_old_client_gets_the_export_by_name(drive: RotationalDrive) -> None:
    with Client(drive.socket) as client:
        client.line.sendall(b"IHAVEOPT" + struct.pack(">II", Option.EXPORT_NAME, 0))
        assert struct.unpack(">QH", client.receive(10))[0] == SIZE
        client.ask(Command.READ, 0, 4096)
        assert client.answer(4096) == (1, 0, bytes(4096))


@pytest.mark.skipif(shutil.which(QEMU) is None, reason=f"{QEMU} is not installed")
def test_qemu_reads_what_it_has_written(drive: RotationalDrive) -> None:
    commands = ["write -P 0x5a 1M 64k", "read -P 0x5a 1M 64k", "discard 1M 64k", "read -P 0 1M 64k", "flush"]
    answers = in_qemu(drive.socket, commands)
    assert answers.count("65536/65536 bytes") == 4
    assert "failed" not in answers
    # A discard is no request of the disk's.
    assert [(s.byte, s.nbytes, s.write) for s in drive.served() if s.nbytes == 65536] == [
        (1 << 20, 65536, True),
        (1 << 20, 65536, False),
        (1 << 20, 65536, False),
    ]


def in_qemu(path: Path, commands: list[str]) -> str:
    """Have QEMU's block layer do that with the disk, in an empty machine, and return what it says."""
    done = subprocess.run(
        [
            *(QEMU, "-M", "none", "-nodefaults", "-display", "none", "-monitor", "stdio", "-drive"),
            f"if=none,id=disk,format=raw,discard=unmap,file.driver=nbd,file.server.type=unix,file.server.path={path}",
        ],
        input="".join(f'qemu-io disk "{command}"\n' for command in commands) + "quit\n",
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    )
    return done.stdout


def test_a_socket_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100)
    with Workspace.create(folder) as workspace, pytest.raises(LoopdevsError, match=r"path too long"):
        workspace.rotational_drive(RotationalLayout(SIZE, shrunk(SIZE)))
