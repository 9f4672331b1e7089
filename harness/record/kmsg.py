# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel log of a case's window."""

from __future__ import annotations

import os

__all__ = ["KernelLog"]

_RECORD_BYTES = 8192  # a record of /dev/kmsg is at most this long (kernel/printk/printk.c)


class KernelLog:
    """Collects the lines that the kernel logs from now on."""

    def __init__(self) -> None:
        self._fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.lseek(self._fd, 0, os.SEEK_END)
        self.overrun = 0
        """How often the kernel had overwritten lines before they were read."""

    def read(self) -> list[str]:
        """Return the lines since the last call, `[seconds] text`."""
        lines: list[str] = []
        while True:
            try:
                record = os.read(self._fd, _RECORD_BYTES)
            except BlockingIOError:
                return lines
            except BrokenPipeError:
                self.overrun += 1
                continue
            lines.append(_line(record.decode(errors="replace")))

    def close(self) -> None:
        """Stop collecting."""
        os.close(self._fd)


def _line(record: str) -> str:
    # "priority,sequence,microseconds,flags;text", continuation lines below.
    header, _, text = record.partition(";")
    seconds = int(header.split(",")[2]) / 1e6
    return f"[{seconds:12.6f}] {text.splitlines()[0] if text else ''}"
