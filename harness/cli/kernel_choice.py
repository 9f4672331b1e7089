# SPDX-License-Identifier: GPL-2.0-or-later
"""Which kernels a run is made on, and whether this machine can."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from harness.doctor import missing_for_guests, missing_for_host, missing_for_run
from harness.errors import UserError
from harness.kernels import HOST, Kernel, module_missing, resolve
from harness.run import GuestOptions

__all__ = ["DEFAULT_GUEST", "chosen_kernels"]

DEFAULT_GUEST = "debian:6.12"
"""What a run takes where the running kernel is not to be had: an LTS kernel with all that suites need."""

NEEDED_MODULES = ("btrfs", "loop")


def chosen_kernels(names: Sequence[str], work: Path, capture: str, guests: GuestOptions) -> list[Kernel]:
    """Return the kernels to run on, fetched if need be; `names` as the user gave them, perhaps none.

    Raises UserError, with every reason, where this machine cannot run on one of them.
    """
    wanted = list(dict.fromkeys(names)) or _default()
    missing = missing_for_run(work, capture=capture)
    if HOST in wanted:
        missing = missing_for_host() + missing
    if any(name != HOST for name in wanted):
        missing += missing_for_guests(guests.memory_bytes)
    if missing:
        raise UserError("; ".join(missing))
    kernels = [resolve(name, _say) for name in wanted]
    for kernel in kernels:
        if kernel.name != HOST and (lacking := module_missing(kernel, NEEDED_MODULES)):
            raise UserError(f"{kernel.name} has no module {', '.join(lacking)}: give a kernel that has")
    return kernels


def _default() -> list[str]:
    reasons = missing_for_host()
    if not reasons:
        return [HOST]
    _say(f"not on the running kernel ({'; '.join(reasons)}), but in a guest: --kernel {DEFAULT_GUEST}")
    return [DEFAULT_GUEST]


def _say(line: str) -> None:
    print(f"iodiff: {line}", file=sys.stderr)
