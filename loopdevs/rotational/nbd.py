# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk as an NBD export on a socket, for QEMU to hand to a guest as a virtio drive.

The protocol is that of the NBD project (doc/proto.md): fixed newstyle, simple replies, one export without a
name. Requests are answered in the order in which the disk does them.
"""

from __future__ import annotations

import errno
import queue
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum, IntFlag
from functools import partial
from pathlib import Path

from loopdevs.rotational.spindle import Spindle
from loopdevs.rotational.store import Store

__all__ = ["Command", "Option", "TransmissionFlag", "listen"]

# All from doc/proto.md of the NBD project, where they have these names with NBD_ in front.
GREETING = struct.Struct(">8s8sH")
MAGIC, IHAVEOPT = b"NBDMAGIC", b"IHAVEOPT"
FLAG_FIXED_NEWSTYLE = 1
FLAG_NO_ZEROES = 2
OPTION = struct.Struct(">8sII")
OPTION_REPLY = struct.Struct(">QIII")
OPTION_REPLY_MAGIC = 0x3E889045565A9
REP_ACK, REP_SERVER, REP_INFO, REP_ERR_UNSUP, REP_ERR_UNKNOWN = 1, 2, 3, 0x80000001, 0x80000006
INFO_EXPORT, INFO_BLOCK_SIZE = 0, 3
EXPORT = struct.Struct(">QH")
BLOCK_SIZES = struct.Struct(">III")
REQUEST = struct.Struct(">IHHQQI")
REQUEST_MAGIC = 0x25609513
REPLY = struct.Struct(">IIQ")
REPLY_MAGIC = 0x67446698

MOST_OPTION_BYTES = 4096
MOST_BYTES = 32 << 20
"""Of one request; what the protocol advises."""


class Option(IntEnum):
    """What a client asks for before it begins."""

    EXPORT_NAME = 1
    ABORT = 2
    LIST = 3
    INFO = 6
    GO = 7


class Command(IntEnum):
    """What a client wants done."""

    READ = 0
    WRITE = 1
    DISC = 2
    FLUSH = 3
    TRIM = 4
    WRITE_ZEROES = 6


class TransmissionFlag(IntFlag):
    """What the export can do, and is."""

    HAS_FLAGS = 1 << 0
    SEND_FLUSH = 1 << 2
    ROTATIONAL = 1 << 4
    SEND_TRIM = 1 << 5
    SEND_WRITE_ZEROES = 1 << 6


FLAGS = (
    TransmissionFlag.HAS_FLAGS
    | TransmissionFlag.SEND_FLUSH
    | TransmissionFlag.ROTATIONAL
    | TransmissionFlag.SEND_TRIM
    | TransmissionFlag.SEND_WRITE_ZEROES
)


class ProtocolError(Exception):
    """The client does not speak as it should, or has gone: it is left."""


def listen(path: Path, store: Store, spindle: Spindle, ready: Callable[[], None]) -> None:
    """Make the socket `path`, call `ready`, and serve one client after the other, for ever."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        ready()
        while True:
            client, _ = server.accept()
            with client, suppress(ProtocolError, OSError):
                _Client(client, store, spindle).serve()


class _Client:
    """One connection."""

    def __init__(self, line: socket.socket, store: Store, spindle: Spindle) -> None:
        self._line = line
        self._store = store
        self._spindle = spindle
        # Who tells that a request is done is the disk, which must not wait for a client that does not listen.
        self._answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def serve(self) -> None:
        """Agree on the export and serve it until the client goes."""
        self._line.sendall(GREETING.pack(MAGIC, IHAVEOPT, FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES))
        (flags,) = struct.unpack(">I", self._receive(4))
        if not self._agree(no_zeroes=bool(flags & FLAG_NO_ZEROES)):
            return
        sender = threading.Thread(target=self._send_answers, daemon=True)
        sender.start()
        try:
            while self._serve_request():
                pass
        finally:
            self._answers.put(None)
            sender.join()

    def _agree(self, *, no_zeroes: bool) -> bool:
        """Answer options until the client begins; return whether it does."""
        while True:
            magic, option, length = OPTION.unpack(self._receive(OPTION.size))
            if magic != IHAVEOPT or length > MOST_OPTION_BYTES:
                raise ProtocolError("not an option")
            data = self._receive(length)
            match option:
                case Option.EXPORT_NAME:
                    if data:
                        # There is no way to refuse but to hang up.
                        raise ProtocolError("no such export")
                    self._line.sendall(EXPORT.pack(self._store.size, FLAGS) + bytes(0 if no_zeroes else 124))
                    return True
                case Option.ABORT:
                    self._answer_option(option, REP_ACK)
                    return False
                case Option.LIST:
                    self._answer_option(option, REP_SERVER, struct.pack(">I", 0))
                    self._answer_option(option, REP_ACK)
                case Option.INFO | Option.GO:
                    if self._inform(option, data) and option == Option.GO:
                        return True
                case _:
                    self._answer_option(option, REP_ERR_UNSUP)

    def _inform(self, option: int, data: bytes) -> bool:
        if data[:4] != bytes(4):
            self._answer_option(option, REP_ERR_UNKNOWN)
            return False
        export = struct.pack(">H", INFO_EXPORT) + EXPORT.pack(self._store.size, FLAGS)
        sizes = struct.pack(">H", INFO_BLOCK_SIZE) + BLOCK_SIZES.pack(1, 4096, MOST_BYTES)
        self._answer_option(option, REP_INFO, export)
        self._answer_option(option, REP_INFO, sizes)
        self._answer_option(option, REP_ACK)
        return True

    def _answer_option(self, option: int, kind: int, data: bytes = b"") -> None:
        self._line.sendall(OPTION_REPLY.pack(OPTION_REPLY_MAGIC, option, kind, len(data)) + data)

    def _serve_request(self) -> bool:
        """Take one request; return whether there may be more."""
        magic, _flags, command, cookie, byte, nbytes = REQUEST.unpack(self._receive(REQUEST.size))
        if magic != REQUEST_MAGIC or (nbytes > MOST_BYTES and command in (Command.READ, Command.WRITE)):
            raise ProtocolError("not a request")
        if command == Command.DISC:
            return False
        data = self._receive(nbytes) if command == Command.WRITE else b""
        try:
            self._do(command, cookie, byte, nbytes, data)
        except OSError as error:
            self._answer(cookie, error.errno or errno.EIO)
        return True

    def _do(self, command: int, cookie: int, byte: int, nbytes: int, data: bytes) -> None:
        if byte + nbytes > self._store.size:
            raise OSError(errno.EINVAL, "beyond the end")
        match command:
            case Command.READ:
                answer = partial(self._answer, cookie, 0, self._store.read(byte, nbytes))
                self._spindle.submit(byte, nbytes, write=False, done=answer)
            case Command.WRITE:
                self._store.write(byte, data)
                self._spindle.submit(byte, nbytes, write=True, done=partial(self._answer, cookie))
            case Command.FLUSH:
                # There is no write cache: what was answered is written.
                self._answer(cookie)
            case Command.TRIM | Command.WRITE_ZEROES:
                self._store.punch(byte, nbytes)
                self._answer(cookie)
            case _:
                raise OSError(errno.EINVAL, "unknown command")

    def _answer(self, cookie: int, error: int = 0, data: bytes = b"") -> None:
        self._answers.put(REPLY.pack(REPLY_MAGIC, error, cookie) + data)

    def _send_answers(self) -> None:
        with suppress(OSError):
            while (answer := self._answers.get()) is not None:
                self._line.sendall(answer)

    def _receive(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            part = self._line.recv(length - len(data))
            if not part:
                raise ProtocolError("the client has gone")
            data += part
        return bytes(data)
