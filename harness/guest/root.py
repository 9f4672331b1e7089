# SPDX-License-Identifier: GPL-2.0-or-later
"""The root folder that a guest boots from: busybox, a script, and places to mount the host's folders on.

Booting from the host's own root would start its udev and systemd-tmpfiles, which takes longer than all the
rest when emulated (15 s on 5.10), and would read through virtme-ng's export, which is not cached.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from harness.doctor.tools import busybox

__all__ = ["SCRIPT", "host_folders", "make_root"]

SCRIPT = "/start.sh"
"""Where the guest finds its script."""

APPLETS = ("sh", "su", "cat", "chmod", "ln", "mkdir", "mount")
"""What virtme-ng's init and the script call before the host's programs are there."""
OWN = ("dev", "proc", "run", "sys")
"""Folders that are the guest's own."""


def host_folders() -> Sequence[str]:
    """Return the names of the folders in / that the guest shares with the host, links to folders included."""
    return sorted(d.name for d in Path("/").iterdir() if d.name not in OWN and d.is_dir())


def make_root(folder: Path, script: str) -> None:
    """Make a root in the new folder `folder`, with the text of `script` in it.

    Raises MissingError when there is no busybox.
    """
    for name in ("bin", "etc", *OWN, *host_folders()):
        (folder / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(busybox(), folder / "bin" / "busybox")
    for applet in APPLETS:
        (folder / "bin" / applet).symlink_to("busybox")
    (folder / "etc" / "fstab").touch()
    (folder / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    file = folder / SCRIPT.lstrip("/")
    file.write_text(script)
    file.chmod(0o755)
