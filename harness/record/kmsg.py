# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel log of a case's window."""

from __future__ import annotations

import os
import threading

__all__ = ["KernelLog", "lines_since_boot"]

_POLL_S = 0.1
_RECORD_BYTES = 8192  # a record of /dev/kmsg is at most this long (kernel/printk/printk.c)


class KernelLog:
    """Collects the lines that the kernel logs from now on, all the time, since its buffer is small."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._reading = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._read_until_stopped, name="kernel log")
        self._fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.lseek(self._fd, 0, os.SEEK_END)
        self.overrun = 0
        """How often the kernel had overwritten lines before they were read."""
        self._thread.start()

    def lines(self) -> list[str]:
        """Return the lines so far: `[seconds] text`."""
        self._read()
        return self._lines.copy()

    def close(self) -> list[str]:
        """Stop collecting, and return the lines."""
        self._stopping.set()
        self._thread.join()
        self._read()
        os.close(self._fd)
        return self._lines

    def _read_until_stopped(self) -> None:
        while not self._stopping.wait(_POLL_S):
            self._read()

    def _read(self) -> None:
        with self._reading:
            self.overrun += _read_lines(self._fd, self._lines)


def lines_since_boot() -> list[str]:
    """Return what the kernel's buffer holds: `[seconds] text`."""
    lines: list[str] = []
    fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _read_lines(fd, lines)
    finally:
        os.close(fd)
    return lines


def _read_lines(fd: int, lines: list[str]) -> int:
    """Append what is there to `lines`; return how often lines had been overwritten."""
    overrun = 0
    while True:
        try:
            record = os.read(fd, _RECORD_BYTES)
        except BlockingIOError:
            return overrun
        except BrokenPipeError:
            overrun += 1
            continue
        lines.append(_line(record.decode(errors="replace")))


def _line(record: str) -> str:
    # "priority,sequence,microseconds,flags;text", continuation lines below.
    header, _, text = record.partition(";")
    seconds = int(header.split(",")[2]) / 1e6
    return f"[{seconds:12.6f}] {text.splitlines()[0] if text else ''}"
