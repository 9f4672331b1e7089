# SPDX-License-Identifier: GPL-2.0-or-later
"""How a guest starts: the command for QEMU, made by virtme-ng, and the script that the guest runs.

The guest sees the host's file system read-only over 9p, so the same Python and the same code run in it. What
it may write to is one folder of the run, its own memory, and its drives.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.guest.accelerator import Accelerator
from harness.guest.agreed import GUEST_WORK, MODULES, PORT_NAME
from harness.guest.drives import drive_options, escaped, serials
from harness.guest.python_image import SERIAL, PythonImage
from harness.guest.root import SCRIPT, host_folders
from harness.kernels import Kernel

__all__ = [
    "CHANNEL",
    "DRIVE_MODULES",
    "GDB",
    "QMP",
    "ROOT",
    "GuestPlan",
    "command",
    "script",
    "shell_command",
    "shell_script",
]

ROOT = Path(__file__).resolve().parents[2]
"""This project, which the guest runs as well."""
CHANNEL = "channel"
"""Name of the socket that QEMU connects to, in its working directory."""
GDB, QMP = "gdb", "qmp"
"""Names of the sockets that QEMU makes there for debugging."""

EMULATED_CPU = "max,la57=off,avx=off,avx2=off,f16c=off,fma=off,vaes=off"
"""The richest that QEMU emulates, but for two things.

With 57 bits of virtual address, a kernel that was built for 48 takes some wild pointers for good ones when a
checkpoint follows them, and warns of its own fault (5.10, `copy_from_kernel_nofault_allowed`,
arch/x86/mm/maccess.c). With AVX2, numpy's argsort is wrong (QEMU 7.2; suites/guests/test_boots.py tries it).
"""
_HOST = "/run/iodiff/host"
_MODPROBE = "/run/iodiff/bin/modprobe"
_PYTHON = "/run/iodiff/python"
_9P = "version=9p2000.L,trans=virtio,access=any,msize=524288"
DRIVE_MODULES = ("virtio_blk",)
"""What a kernel needs besides, for virtio drives."""


@dataclass(frozen=True)
class GuestPlan:
    """One virtual machine."""

    kernel: Kernel
    accelerator: Accelerator
    cpus: int
    memory_bytes: int
    exchange: Path
    """The folder that the guest may write to, at the same path inside."""
    debug: bool = False
    """With sockets for gdb and QMP (drgn), and a kernel that stays after a panic."""
    drives: tuple[int, ...] = ()
    """Sizes of its virtio drives, bytes."""
    python: PythonImage | None = None
    """Whence it reads Python, if not from the host."""
    sockets: tuple[Path, ...] = ()
    """Where disks speak NBD that it gets as further drives (`loopdevs.RotationalDrive`)."""

    @property
    def serials(self) -> list[str]:
        """Return the serial numbers of its drives."""
        return serials([*self.drives, *self.sockets])


def command(plan: GuestPlan, root: Path) -> list[str]:
    """Return the command that boots a guest from `root`, with its script there (`harness.guest.root`).

    To be run in the folder with the channel's socket.
    """
    line = [
        *("-chardev", f"socket,id=iodiff,path={CHANNEL}"),
        *("-device", "virtio-serial-pci,id=iodiff-serial"),
        *("-device", f"virtserialport,bus=iodiff-serial.0,chardev=iodiff,name={PORT_NAME}"),
    ]
    run = ["--show-boot-console", "--script-sh", f"sh {SCRIPT}"]
    return [*_machine(plan, root), *run, *_qemu_options(plan), *line]


def shell_command(plan: GuestPlan, root: Path) -> list[str]:
    """Return the command that boots a guest from `root`, with its script as shell, on this terminal."""
    return [*_machine(plan, root), "--shell", SCRIPT, *_qemu_options(plan)]


def _machine(plan: GuestPlan, root: Path) -> list[str]:
    return [
        *(str(Path(sys.prefix) / "bin" / "virtme-run"), "--kimg", str(plan.kernel.image), "--mods=auto"),
        *("--root", str(root), "--force-9p", "--disable-microvm"),
        *([] if plan.accelerator == "kvm" else ["--disable-kvm"]),
        *("--memory", f"{plan.memory_bytes >> 20}M", "--cpus", str(plan.cpus)),
        *(word for option in kernel_options(plan) for word in ("--kopt", option)),
    ]


def _qemu_options(plan: GuestPlan) -> list[str]:
    """Return the options for QEMU itself, which go last."""
    exports = [*_export("iodiff", Path("/"), "readonly=on,"), *_export("exchange", plan.exchange)]
    processor = [] if plan.accelerator == "kvm" else ["-cpu", EMULATED_CPU]
    debug = ["-gdb", f"unix:{GDB},server=on,wait=off", "-qmp", f"unix:{QMP},server=on,wait=off"]
    drives = drive_options(plan.drives, plan.sockets)
    python = _python_drive(plan.python) if plan.python else []
    return ["--qemu-opts", *exports, *processor, *drives, *python, *(debug if plan.debug else [])]


def _export(tag: str, folder: Path, mode: str = "") -> list[str]:
    """Return the options that let the guest mount `folder` over 9p."""
    return [
        *("-fsdev", f"local,id={tag},path={escaped(folder)},security_model=none,{mode}multidevs=remap"),
        *("-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"),
    ]


def _python_drive(image: PythonImage) -> list[str]:
    return [
        *("-drive", f"if=none,id=python,file={escaped(image.file)},format=raw,readonly=on"),
        *("-device", f"virtio-blk-pci,drive=python,serial={SERIAL}"),
    ]


def kernel_options(plan: GuestPlan) -> list[str]:
    """Return what the kernel is told: die at once of what it cannot survive, and say why on the console."""
    return [
        "oops=panic",
        f"panic={0 if plan.debug else -1}",
        "loglevel=5",
        # Side channels are no danger to a guest of minutes; under emulation their cures cost much.
        "mitigations=off",
        # Emulated, all CPUs read one counter of the host's. 5.10 does not believe it and takes the HPET, each
        # reading of which leaves the guest (unsynchronized_tsc, arch/x86/kernel/tsc.c).
        *([] if plan.accelerator == "kvm" else ["tsc=reliable"]),
        # A guest that has to wait for the host's CPUs looks stuck to its own watchdogs.
        f"rcupdate.rcu_cpu_stall_timeout={_stall_s(plan)}",
        f"watchdog_thresh={min(60, _stall_s(plan) // 2)}",
    ]


def script(plan: GuestPlan, word: str) -> str:
    """Return the shell script that the guest runs as root when it is up: it ends with the agent."""
    return _lines(*_set_up(plan), shlex.join([sys.executable, "-m", "harness.guest.agent", word]))


def shell_script(plan: GuestPlan) -> str:
    """Return the program that makes a guest ready and is then an interactive shell."""
    return _lines("#!/bin/sh", *_set_up(plan), f"export IODIFF_EXCHANGE={plan.exchange}", "exec bash -i")


def _set_up(plan: GuestPlan) -> list[str]:
    environment = {
        "PYTHONPATH": str(ROOT),
        "PYTHONSAFEPATH": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(Path.home()),
        "TMPDIR": "/run/iodiff/tmp",
        "PATH": f"/run/iodiff/bin:{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/bin:/bin",
    }
    if cache := os.environ.get("XDG_CACHE_HOME"):
        environment["XDG_CACHE_HOME"] = cache
    exchange = shlex.quote(str(plan.exchange))
    return [
        f"mkdir -p {_HOST} {_PYTHON} /run/iodiff/bin /run/iodiff/tmp",
        # Cached: read page by page and anew each time, a start of Python takes 20 s under emulation.
        f"mount -t 9p -o ro,{_9P},cache=loose iodiff {_HOST}",
        *(f"mount --bind {_HOST}/{d} /{d}" for d in map(shlex.quote, host_folders())),
        f"mount -t 9p -o rw,{_9P} exchange {exchange}",
        *_modprobe(plan.kernel),
        *_python_mount(plan),
        # Beside the start of Python, which takes longer; the agent waits for it.
        _loading(plan.kernel, [*MODULES, *(DRIVE_MODULES if plan.serials else ())]) + " &",
        f"mkdir -p {GUEST_WORK} && mount -t tmpfs -o size=75%,mode=0700 iodiff-work {GUEST_WORK}",
        f"echo {_stall_s(plan)} >/proc/sys/kernel/hung_task_timeout_secs",
        *(f"export {name}={shlex.quote(value)}" for name, value in environment.items()),
        f"cd {shlex.quote(str(ROOT))}",
    ]


def _lines(*lines: str) -> str:
    return "".join(line + "\n" for line in lines)


def _stall_s(plan: GuestPlan) -> int:
    """Return after how long without progress a task, CPU or grace period counts as stuck, s."""
    return int(30 * plan.accelerator.slowness / 2)


def _modprobe(kernel: Kernel) -> list[str]:
    """Return how the kernel's modules get found, also when the kernel itself asks for one.

    The host need not have a /lib/modules on which anything could be mounted.
    """
    if kernel.modules is None:
        return []
    text = f'#!/bin/sh\nexec /sbin/modprobe -d {shlex.quote(str(kernel.modules))} "$@"\n'
    return [
        f"printf %s {shlex.quote(text)} >{_MODPROBE}",
        f"chmod +x {_MODPROBE}",
        f"echo {_MODPROBE} >/proc/sys/kernel/modprobe",
    ]


def _loading(kernel: Kernel, modules: Sequence[str]) -> str:
    return f"{_MODPROBE} -q -a {' '.join(modules)}" if kernel.modules else "true"


def _python_mount(plan: GuestPlan) -> list[str]:
    """Return how Python's own drive gets its places. Without it, there is what the host exports."""
    if plan.python is None:
        return []
    mount = f"mount -t ext4 -o ro /dev/${{d##*/}} {_PYTHON}"
    return [
        _loading(plan.kernel, ["virtio_blk", "ext4"]),
        f'for d in /sys/block/vd*; do [ "$(cat $d/serial)" = {SERIAL} ] && {mount}; done',
        *(
            f"[ -d {_PYTHON}/{number} ] && mount --bind {_PYTHON}/{number} {shlex.quote(str(folder))}"
            for number, folder in enumerate(plan.python.folders)
        ),
    ]
