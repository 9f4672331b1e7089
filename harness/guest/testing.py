# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest for tests: no machine, but a thread that speaks as one over the same line."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.guest.accelerator import Accelerator
from harness.guest.root import SCRIPT
from harness.guest.start import CHANNEL, GuestPlan
from harness.kernels import Kernel

__all__ = ["FakeGuest", "Reply", "guest_plan"]

Reply = Callable[[dict[str, Any]], "dict[str, Any] | None"]
"""What the guest answers to a request; None to hang up."""

RELEASE = "6.0.0-test"


def guest_plan(folder: Path) -> GuestPlan:
    """Return a plan for a kernel that does not exist, with an exchange folder in `folder`."""
    exchange = folder / "exchange"
    exchange.mkdir(exist_ok=True)
    kernel = Kernel("test:6.0", "test-6.0", RELEASE, folder / "vmlinuz", folder, None)
    return GuestPlan(kernel, Accelerator("kvm"), 2, 1 << 30, exchange)


class FakeGuest:
    """Starts in place of QEMU: a process that sleeps, and a thread that answers."""

    def __init__(
        self,
        reply: Reply = lambda _request: {"done": {}},
        *,
        says_hello: bool = True,
        word: str | None = None,
    ) -> None:
        self._reply = reply
        self._says_hello = says_hello
        self._word = word
        self.console: Path | None = None
        self.started = 0

    def __call__(self, command: list[str], folder: Path, output: Path) -> subprocess.Popen[bytes]:
        """Start; see `harness.guest.machine.Starter`."""
        self.started += 1
        self.console = output
        output.write_text(f"[    0.000000] Linux version {RELEASE}\n")
        root = Path(command[command.index("--root") + 1])
        word = self._word or (root / SCRIPT.lstrip("/")).read_text().split()[-1]
        directory = os.open(folder, os.O_PATH)
        threading.Thread(target=self._serve, args=(directory, word), daemon=True).start()
        return subprocess.Popen(["sleep", "600"], start_new_session=True)

    def print(self, text: str) -> None:
        """Print on the console."""
        assert self.console is not None
        with self.console.open("a") as f:
            f.write(text)

    def _serve(self, directory: int, word: str) -> None:
        def say(message: dict[str, Any]) -> None:
            # The host may have hung up meanwhile: that ends a real guest too.
            with suppress(ConnectionError):
                line.sendall(json.dumps({"word": word, **message}).encode() + b"\n")

        with socket.socket(socket.AF_UNIX) as line:
            line.connect(f"/proc/self/fd/{directory}/{CHANNEL}")
            os.close(directory)
            if self._says_hello:
                say({"hello": {"release": RELEASE, "version": "#1 SMP test", "uptime_s": 1.0}})
            with suppress(ConnectionError), line.makefile() as requests:
                for request in requests:
                    answer = self._reply(json.loads(request))
                    if answer is None:
                        return
                    say(answer)
