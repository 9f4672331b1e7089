# SPDX-License-Identifier: GPL-2.0-or-later
"""Which kernels a run is made on, and whether this machine can."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.doctor import missing_for_guests, missing_for_host, missing_for_run
from harness.errors import UserError
from harness.guest.accelerator import accelerator
from harness.guest.agreed import MODULES
from harness.guest.drives import Devices
from harness.guest.start import DRIVE_MODULES
from harness.kernels import HOST, Kernel, module_missing, resolve
from harness.run import GuestOptions

__all__ = ["DEFAULT_GUEST", "Way", "chosen_kernels", "guest_kernel", "way_of_a_run"]

DEFAULT_GUEST = "debian:6.12"
"""What a run takes where the running kernel is not to be had: an LTS kernel with all that suites need."""


def chosen_kernels(names: Sequence[str], work: Path, capture: str, guests: GuestOptions) -> list[Kernel]:
    """Return the kernels to run on, fetched if need be; `names` as the user gave them, perhaps none.

    Raises UserError, with every reason, where this machine cannot run on one of them.
    """
    not_host = missing_for_host()
    wanted = list(dict.fromkeys(names)) or [DEFAULT_GUEST if not_host else HOST]
    missing = missing_for_run(work, capture=capture)
    if any(name != HOST for name in wanted):
        missing += missing_for_guests(guests.memory_bytes)
    if HOST in wanted or (missing and not names):
        missing = not_host + missing
    if missing:
        raise UserError("; ".join(missing))
    if not_host and not names:
        _say(f"not on the running kernel ({'; '.join(not_host)}), but in a guest: --kernel {DEFAULT_GUEST}")
    return [_resolve(name, guests.devices) for name in wanted]


@dataclass(frozen=True)
class Way:
    """What `run` would do here when it is not told a kernel."""

    possible: bool
    how: str
    """The rest of a sentence that begins with `run`."""


def way_of_a_run(work: Path) -> Way:
    """Return whether and where `run` would run, and why there."""
    if missing := missing_for_run(work):
        return Way(False, f"cannot begin: {'; '.join(missing)}")
    not_host = missing_for_host()
    if not not_host:
        return Way(True, "runs on this kernel; with --kernel, on others in guests")
    why = "; ".join(not_host)
    if missing := missing_for_guests(GuestOptions().memory_bytes):
        return Way(False, f"can neither use this kernel ({why}) nor boot a guest ({'; '.join(missing)})")
    return Way(
        True, f"boots a guest ({DEFAULT_GUEST}, {accelerator()}), as this kernel is not to be used: {why}"
    )


def guest_kernel(name: str, memory_bytes: int, devices: Devices) -> Kernel:
    """Return the kernel of a guest, fetched if need be; UserError where none like that can be booted."""
    if name == HOST:
        raise UserError("the running kernel needs no guest: give another, see ./iodiff kernels list")
    if missing := missing_for_guests(memory_bytes):
        raise UserError("; ".join(missing))
    return _resolve(name, devices)


def _resolve(name: str, devices: Devices) -> Kernel:
    kernel = resolve(name, _say)
    if name == HOST:
        return kernel
    if lacking := module_missing(kernel, MODULES):
        raise UserError(f"{name} has no module {', '.join(lacking)}: give a kernel that has")
    if devices != "loop" and (lacking := module_missing(kernel, DRIVE_MODULES)):
        raise UserError(
            f"{name} has no module {', '.join(lacking)}, which virtio drives need: "
            "give a kernel that has, or leave the guest its loop devices"
        )
    return kernel


def _say(line: str) -> None:
    print(f"iodiff: {line}", file=sys.stderr)
