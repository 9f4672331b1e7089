# SPDX-License-Identifier: GPL-2.0-or-later
"""The host's end of the line to a guest: JSON objects, one a line, over a virtio serial port of our own.

A guest that dies can print anything on its console, and end with any code. What counts is only what came over
this line with the word that the guest was given at its start.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from harness.errors import InfrastructureError
from loopdevs.deadline import Deadline

__all__ = ["Channel", "Message"]

Message = dict[str, Any]

_POLL_S = 0.2
_SEND_DEADLINE_S = 10.0
_LONGEST_LINE = 1 << 20


class Channel:
    """A listening socket `name` in `folder`; QEMU, started there, connects to it."""

    def __init__(self, folder: Path, name: str) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        directory = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        try:
            # By the descriptor: a socket's address has room for a hundred characters only.
            self._listener.bind(f"/proc/self/fd/{directory}/{name}")
        finally:
            os.close(directory)
        self._listener.listen(1)
        self._connection: socket.socket | None = None
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up. A guest that still lives ends itself then."""
        self._listener.close()
        if self._connection is not None:
            self._connection.close()

    def send(self, message: Message) -> None:
        """Send one message; InfrastructureError when nobody listens any more."""
        if self._connection is None:
            raise InfrastructureError("the guest never connected")
        try:
            self._connection.settimeout(_SEND_DEADLINE_S)
            self._connection.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise InfrastructureError(f"the guest hung up ({error.strerror})") from None

    def receive(self, deadline: Deadline, check: Callable[[], None]) -> Message:
        """Return the next message. `check` is called several times a second, and may raise to give up.

        InfrastructureError at the deadline, when the guest hung up, and for what is no message.
        """
        while b"\n" not in self._received:
            check()
            if not deadline.remaining:
                raise InfrastructureError(f"no word from the guest within {deadline.seconds:.0f} s")
            self._read(min(_POLL_S, deadline.remaining))
        line, _, self._received = self._received.partition(b"\n")
        return _parse(line)

    def _read(self, seconds: float) -> None:
        try:
            if self._connection is None:
                self._listener.settimeout(seconds)
                self._connection = self._listener.accept()[0]
                return
            self._connection.settimeout(seconds)
            data = self._connection.recv(1 << 16)
        except TimeoutError:
            return
        except OSError as error:
            raise InfrastructureError(f"the guest hung up ({error.strerror})") from None
        finally:
            if self._connection is not None:
                self._connection.settimeout(None)
        if not data:
            raise InfrastructureError("the guest hung up")
        self._received += data
        if len(self._received) > _LONGEST_LINE:
            raise InfrastructureError("the guest sent what is no message")


def _parse(line: bytes) -> Message:
    try:
        message = json.loads(line)
    except ValueError:
        message = None
    if not isinstance(message, dict):
        raise InfrastructureError(f"the guest sent what is no message: {line[:80]!r}")
    return message
