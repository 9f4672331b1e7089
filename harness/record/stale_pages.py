# SPDX-License-Identifier: GPL-2.0-or-later
"""EIO from fsync(2) that no device caused: pages that a direct write could not drop.

When pages of the range are dirty or locked again by the time a direct write ends,
`dio_warn_stale_pagecache()` (mm/filemap.c) notes -EIO as the file's write-back error, which the next fsync,
fdatasync, msync or sync_file_range reports, and logs it, up to ten times a day. All data are as written; who
mixes direct with other writes to one file has to expect it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path

__all__ = ["explanation"]

_FAILURE = "Page cache invalidation failure on direct I/O."
_FILE = re.compile(r"\] File: (.*) PID: \d+ Comm: ")
_BURST = 10  # DEFAULT_RATELIMIT_BURST, include/linux/ratelimit_types.h
_INTERVAL_S = 86400
_ERROR = re.compile(r"I/O error|BTRFS (warning|error|critical|alert|emergency)|BTRFS: error")


def explanation(lines: Sequence[str], since_boot: Sequence[str], mount: Path) -> str | None:
    """Say why fsync of a file in `mount` may have returned EIO without a fault; None when nothing says so.

    `lines` of the kernel log are the case's; `since_boot` all that it still holds, `[seconds] text` each.
    """
    files = [match[1] for line in lines if (match := _FILE.search(line))]
    if any(_FAILURE in line for line in lines) and any(Path(f).is_relative_to(mount) for f in files):
        return "page cache invalidation failed, as the kernel logs"
    if _is_silenced(since_boot) and not any(_ERROR.search(line) for line in lines):
        return (
            "page cache invalidation failed ten times before; the kernel logs no more of it, no other error"
        )
    return None


def _is_silenced(since_boot: Sequence[str]) -> bool:
    """Whether the kernel has logged the failure as often as it does in a day."""
    seconds = [float(line[1:].partition("]")[0]) for line in since_boot if _FAILURE in line]
    return len(seconds) >= _BURST and seconds[-_BURST] > time.monotonic() - _INTERVAL_S
