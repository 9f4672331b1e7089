# SPDX-License-Identifier: GPL-2.0-or-later
"""All the probes, in the order in which they are shown, and the few that `run` asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from harness.doctor import devices, guest, machine, tools, tracing
from harness.doctor.probes import Attempt, MissingError, Probe
from harness.kernels import installed
from harness.kernels.store import kept

__all__ = [
    "MINIMUM_FREE_BYTES",
    "WORK_ROOT",
    "missing_for_guests",
    "missing_for_host",
    "missing_for_run",
    "probe_all",
]

WORK_ROOT = Path("/var/tmp/iodiff")
MINIMUM_FREE_BYTES = 4 * machine.GIB
MINIMUM_MEMORY_BYTES = machine.GIB

RECORDING = "run: no recording (judge, report and list go on)"
GUESTS = "run --kernel, guest: no guests, so no kernel but the one that runs"
BPF = "run: no recording through BPF, so no checkpoints (--capture tracefs goes on)"


def probe_all(work_root: Path = WORK_ROOT) -> list[Probe]:
    """Make every probe, below `work_root` where devices are made; takes a few seconds, leaves nothing."""
    return [attempt.probe() for attempt in _attempts(work_root)]


def missing_for_run(work_root: Path, *, capture: str = "bpf") -> list[str]:
    """Return why `run` cannot begin on any kernel, a line each with what to do; looks only, does nothing."""
    checks: list[Callable[[], str]] = [
        tools.fio,
        tools.btrfs_progs,
        partial(machine.free_space, work_root, MINIMUM_FREE_BYTES),
    ]
    if capture == "bpf" and not _program_is_compiled():
        checks.append(tools.clang_present)
    return _reasons(checks)


def missing_for_host() -> list[str]:
    """Return why `run` cannot record on the running kernel, a line each with what to do; looks only."""
    return _reasons([machine.root, devices.btrfs_known])


def missing_for_guests(memory_bytes: int) -> list[str]:
    """Return why no guest of that much memory can be booted, a line each with what to do; looks only."""
    return _reasons([tools.emulator, tools.busybox, partial(machine.memory, memory_bytes)])


def _attempts(work_root: Path) -> list[Attempt]:
    return [
        Attempt("root", machine.root, RECORDING),
        Attempt("fio", tools.fio, RECORDING),
        Attempt("btrfs-progs", tools.btrfs_progs, RECORDING),
        Attempt("loop devices", partial(devices.loop, work_root), RECORDING, "modprobe loop"),
        Attempt("btrfs", partial(devices.btrfs, work_root), RECORDING, "see dmesg", 30.0),
        Attempt("space", partial(machine.free_space, work_root, MINIMUM_FREE_BYTES), RECORDING),
        Attempt("memory", partial(machine.memory, MINIMUM_MEMORY_BYTES), "run: may be killed half-way"),
        Attempt("BPF compiler", tools.clang, BPF, deadline_s=60.0),
        Attempt("libbpf", tools.libbpf, BPF),
        Attempt("BTF", tracing.btf, BPF),
        Attempt("BPF tracepoints", tracing.raw_tracepoints, BPF, "start as root, outside of containers"),
        Attempt(
            "tracefs events",
            partial(devices.trace_events, work_root),
            "run --capture tracefs",
            "start as root, outside of containers",
        ),
        Attempt("FUSE", devices.fuse, "rotational loop devices: benchmarks of readahead on the host"),
        Attempt("taskstats", machine.taskstats, "run: no CPU and delay accounting of fio"),
        Attempt("BPF fentry", tracing.fentry, "nothing in this version"),
        Attempt("BPF kprobe", tracing.kprobe, "nothing in this version"),
        Attempt("QEMU", tools.emulator, GUESTS),
        Attempt("busybox", tools.busybox, GUESTS),
        Attempt("KVM", _kvm, "guests are emulated, some 15 times slower", deadline_s=25.0),
        Attempt("Python packages", machine.python_packages, "everything that imports them", deadline_s=30.0),
    ]


def _kvm() -> str:
    fetched = installed()
    return guest.kvm(kept(fetched[0], fetched[0].name).image if fetched else None)


def _reasons(checks: Sequence[Callable[[], str]]) -> list[str]:
    return [reason for check in checks if (reason := _why_not(check))]


def _why_not(check: Callable[[], str]) -> str:
    try:
        check()
    except MissingError as error:
        return str(error)
    return ""


def _program_is_compiled() -> bool:
    # Imported here: the capture reaches for libbpf, which may be what is missing.
    from harness.capture.program import is_cached

    return is_cached()
