# SPDX-License-Identifier: GPL-2.0-or-later
"""Which way QEMU runs guests here: KVM where a guest really boots under it, emulation (TCG) elsewhere.

The answer is kept, since a KVM that hangs takes a while to find out; it holds as long as the machine, its
kernel and QEMU are the same and /dev/kvm is as accessible as it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
from contextlib import suppress
from pathlib import Path

from harness.doctor import guest
from harness.doctor.probes import MissingError
from harness.user_cache import user_cache

__all__ = ["Accelerator", "accelerator"]


PROBE = "boot sector, kernel"
"""What an answer was found by: an earlier iodiff's may be wrong."""


class Accelerator(str):
    """`kvm` or `tcg`."""

    __slots__ = ()

    @property
    def slowness(self) -> float:
        """How many times longer than on the bare machine anything may take, for deadlines."""
        return 2.0 if self == "kvm" else 15.0


def accelerator(kernel: Path | None = None) -> Accelerator:
    """Return how guests are to run on this machine; the first call may take ten seconds.

    `kernel` is the image of one that is about to be booted. Without it a KVM that seems to work is tried
    again next time.
    """
    kept = user_cache() / "accelerator.json"
    machine = _machine()
    with suppress(OSError, ValueError, KeyError, TypeError):
        answer = json.loads(kept.read_text())
        if answer["machine"] == machine:
            return Accelerator(answer["accelerator"])
    found = Accelerator("kvm" if _kvm_boots(kernel) else "tcg")
    if found == "kvm" and kernel is None:
        return found
    with suppress(OSError):  # it is asked again next time
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps({"machine": machine, "accelerator": found}) + "\n")
    return found


def _kvm_boots(kernel: Path | None) -> bool:
    try:
        guest.kvm(kernel)
    except (MissingError, OSError):
        return False
    return True


def _machine() -> str:
    """Return a digest of all that the answer depends on."""
    emulator = shutil.which("qemu-system-x86_64")
    facts = [
        platform.node(),
        os.uname().release,
        os.uname().version,
        str(os.access("/dev/kvm", os.R_OK | os.W_OK)),
        f"{emulator} {Path(emulator).stat().st_mtime_ns}" if emulator else "no emulator",
        PROBE,
    ]
    with suppress(OSError):
        facts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()
