# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest: a virtual machine that boots a kernel and serves requests until it is closed or lost."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from harness.errors import InfrastructureError, UserError
from harness.guest.channel import Channel, Message
from harness.guest.drives import drive_files
from harness.guest.root import make_root
from harness.guest.start import CHANNEL, GDB, QMP, GuestPlan, command, script
from harness.record.record import FULL_BYTES
from loopdevs import LoopdevsError
from loopdevs.deadline import Deadline
from loopdevs.space import check_space

__all__ = ["CONSOLE", "PANIC_END", "Guest", "GuestLostError", "Starter"]

Starter = Callable[[list[str], Path, Path], "subprocess.Popen[bytes]"]
"""Starts a command in a folder, with its output to a file, as a process group that will not be forgotten."""

CONSOLE = "console"
"""Name of the file in a guest's folder with what it printed."""
ROOT = "root"
"""Name of the folder there that it boots from."""
PANIC_END = "end Kernel panic"
"""What the kernel prints last (panic, kernel/panic.c)."""

_KILL_DEADLINE_S = 20.0
_TAIL_BYTES = 1 << 16


class GuestLostError(InfrastructureError):
    """The guest is gone, or does not answer: what it was doing has no result."""


@dataclass(frozen=True)
class Console:
    """What the guest printed: its kernel's messages, and what its programs complained about."""

    file: Path

    @property
    def position(self) -> int:
        """Return where it ends by now, bytes."""
        return self.file.stat().st_size if self.file.exists() else 0

    def since(self, position: int) -> str:
        """Return the text after `position`."""
        with self.file.open("rb") as f:
            f.seek(position)
            return f.read().decode(errors="replace").replace("\r\n", "\n")


class Guest:
    """A running guest. `folder`, private and empty, takes its console, its root, its drives and its line.

    Raises GuestLostError when it is not up within `boot_s` seconds, UserError when it cannot even be started,
    and in every wait when the space for its drives runs out.
    `check` is called several times a second during every wait, and may raise to give up.
    """

    def __init__(
        self, plan: GuestPlan, folder: Path, start: Starter, boot_s: float, check: Callable[[], None]
    ) -> None:
        self.plan = plan
        self.console = Console(folder / CONSOLE)
        self._check = check
        self._word = secrets.token_hex(16)
        with ExitStack() as made:
            made.enter_context(drive_files(folder, plan.drives))
            self._channel = made.enter_context(Channel(folder, CHANNEL))
            make_root(folder / ROOT, script(plan, self._word))
            self._process = start(command(plan, folder / ROOT), folder, self.console.file)
            made.callback(self._kill)
            self.hello: dict[str, Any] = self._receive(Deadline(boot_s), "boot")["hello"]
            self._made = made.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ways_in(self) -> list[str]:
        """Return how to look into a guest that was started for debugging, a line each."""
        folder = self.console.file.parent
        return [
            f"console: {self.console.file}",
            f"gdb:     gdb VMLINUX -ex 'target remote {folder / GDB}'",
            f"drgn:    drgn --qemu {folder / QMP}",
        ]

    @property
    def alive(self) -> bool:
        """Whether the machine still exists, sound or not."""
        return self._process.poll() is None

    def close(self) -> None:
        """End it at once: what it made lives in its memory, and what it recorded is out already."""
        self._made.close()

    def call(
        self, request: str, deadline_s: float, asked: Callable[[Any], None] | None = None, **arguments: Any
    ) -> dict[str, Any]:
        """Have the guest do something, and return what came of it.

        What it asks of its host meanwhile, `asked` does; the guest waits for that.
        Raises UserError or InfrastructureError as the guest's own code did, GuestLostError without an
        answer.
        """
        deadline = Deadline(deadline_s)
        self._send({"request": request, **arguments})
        answer = self._receive(deadline, request)
        while asked and "asks" in answer:
            asked(answer["asks"])
            self._send({"request": "go on"})
            answer = self._receive(deadline, request)
        if answer.get("failed") == "environment":
            raise UserError(f"in the guest {self.plan.kernel.name}: {answer['reason']}")
        if "failed" in answer:
            raise InfrastructureError(f"in the guest: {answer['reason']}")
        done: dict[str, Any] = answer["done"]
        return done

    def _send(self, message: Message) -> None:
        try:
            self._channel.send(message)
        except InfrastructureError as error:
            raise self._lost(str(error)) from None

    def _receive(self, deadline: Deadline, during: str) -> Message:
        try:
            message = self._channel.receive(deadline, self._check_alive)
        except InfrastructureError as error:
            raise self._lost(f"{error}, during {during}") from None
        if message.get("word") != self._word:
            raise self._lost("somebody else spoke for the guest")
        return message

    def _check_alive(self) -> None:
        self._check()
        if self.plan.serials:
            self._check_space()
        if self._process.poll() is not None:
            raise InfrastructureError(f"the guest ended by itself (code {self._process.returncode})")
        if self.plan.debug and PANIC_END in _tail(self.console):
            raise InfrastructureError("its kernel panicked")

    def _check_space(self) -> None:
        """Raise UserError when the host has no room for the drives: it would stop the guest in mid-write."""
        try:
            check_space(self.console.file.parent, FULL_BYTES)
        except LoopdevsError as error:
            raise UserError(f"the space for the guest's drives ran out: {error}") from None

    def _lost(self, why: str) -> GuestLostError:
        return GuestLostError(f"lost guest {self.plan.kernel.name}: {why}{_last_words(self.console)}")

    def _kill(self) -> None:
        # It is our child, and not waited for yet: its number is still its own.
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(_KILL_DEADLINE_S)


def _tail(console: Console) -> str:
    return console.since(max(0, console.position - _TAIL_BYTES))


def _last_words(console: Console) -> str:
    """Return what a complaint should quote of the console: the panic, or else QEMU's own refusal."""
    lines = [line.strip() for line in _tail(console).splitlines()]
    telling = [line for line in lines if "Kernel panic" in line or line.startswith("qemu-system")]
    return f" ({telling[-1]})" if telling else ""
