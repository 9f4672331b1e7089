# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernels of a run: what `run.json` says of them, or what the manifests of loose bundles say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from reports.text import UNKNOWN, dig, duration, mapping, plain, size

__all__ = ["SIMULATED", "Kernel", "planned_kernels", "recorded_kernels"]

SIMULATED = (
    "TCG simulates the processor: times and rates in such a guest cannot be compared with those of real ones."
)
"""To be said wherever times of a TCG guest are shown."""


@dataclass(frozen=True)
class Kernel:
    """One kernel under test; a column of the report."""

    name: str
    """As given to `--kernel`: `host`, `debian:6.12`, a path."""
    label: str
    """Its folder in the run, and its short name in the reports."""
    release: str = UNKNOWN
    version: str = ""
    config_sha256: str = ""
    guest: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """`accelerator`, `cpus`, `memory_bytes`, `boot_s`; empty on the host."""
    wall_s: float | None = None
    """Time its cases took, boot included, s; None when unknown."""
    lost: str = ""
    """Why its guest was lost; empty when it was not."""
    cases: tuple[str, ...] = ()
    """The ids of the cases that were to run on it."""
    trials: tuple[tuple[str, str], ...] = ()
    """Those again, as often as they were to run, each with the name of its folder; empty where not told."""
    expected: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Cases that were said to fail on it, and why."""

    @property
    def accelerator(self) -> str:
        """`kvm` or `tcg` in a guest, empty on the host."""
        return plain(self.guest.get("accelerator")) or ""

    @property
    def simulated(self) -> bool:
        """Whether its times say nothing about a real processor."""
        return self.accelerator == "tcg"

    @property
    def place(self) -> str:
        """Where it ran: `TCG guest`, `guest` when no more is known, `no guest`, `unknown`."""
        if self.name == UNKNOWN:
            return UNKNOWN
        return "no guest" if self.name == "host" else f"{self.accelerator.upper()} guest".strip()

    @property
    def guest_in_words(self) -> str:
        """Such as `TCG guest, 2 CPUs, 2 GiB memory, booted in 11.2 s`; empty without a guest."""
        if not self.guest:
            return ""
        cpus = self.guest.get("cpus")
        words = [self.place]
        words += [f"{cpus} CPU{'' if cpus == 1 else 's'}"] if isinstance(cpus, int) else []
        memory = self.guest.get("memory_bytes")
        words += [f"{size(memory)} memory"] if memory is not None else []
        boot = self.guest.get("boot_s")
        return ", ".join([*words, f"booted in {duration(boot)}"] if boot is not None else words)


_UNTOLD = Kernel(UNKNOWN, UNKNOWN)


def planned_kernels(facts: Mapping[str, Any]) -> list[Kernel]:
    """Return the kernels of `run.json` in the order given; ValueError when they make no sense."""
    listed = facts.get("kernels")
    if not isinstance(listed, list) or not listed:
        raise ValueError("no list of kernels")
    kernels = [_planned(entry, facts) for entry in listed]
    labels = [kernel.label for kernel in kernels]
    if len(set(labels)) < len(labels):
        raise ValueError("two kernels of one label")
    return kernels


def _planned(entry: Any, facts: Mapping[str, Any]) -> Kernel:
    name, label = plain(dig(entry, "name")), plain(dig(entry, "label"))
    if not name or not label:
        raise ValueError("a kernel without name or label")
    wall = entry.get("wall_s")
    cases = entry.get("cases", facts.get("cases"))
    return Kernel(
        name,
        label,
        plain(entry.get("release")) or UNKNOWN,
        plain(entry.get("version")) or "",
        plain(entry.get("config_sha256")) or "",
        mapping(entry, "guest"),
        float(wall) if isinstance(wall, int | float) else None,
        plain(entry.get("lost")) or "",
        tuple(map(str, cases)) if isinstance(cases, list) else (),
        tuple((str(dig(told, "case")), str(dig(told, "folder"))) for told in entry.get("trials", ())),
        {case: plain(reason) or "" for case, reason in mapping(entry, "expected").items()},
    )


def recorded_kernels(manifests: Iterable[Mapping[str, Any] | None]) -> list[Kernel]:
    """Return a kernel for each manifest, the same one for the same source and build.

    A case that was skipped has no manifest; its kernel is known only if all others have the same one.
    """
    recorded = [_recorded(mapping(manifest, "kernel")) for manifest in manifests]
    builds = [kernel for kernel in dict.fromkeys(recorded) if kernel != _UNTOLD]
    labels = [kernel.label for kernel in builds]
    distinct = {
        kernel: kernel if labels.count(kernel.label) == 1 else replace(kernel, label=f"{kernel.label}-{n}")
        for n, kernel in enumerate(builds, 1)
    }
    skipped_on = distinct[builds[0]] if len(builds) == 1 else _UNTOLD
    return [distinct.get(kernel, skipped_on) for kernel in recorded]


def _recorded(told: Mapping[str, Any]) -> Kernel:
    if not told:
        return _UNTOLD
    name = plain(told.get("source")) or "host"
    return Kernel(
        name,
        name.rstrip("/").rpartition("/")[2].replace(":", "-"),
        plain(told.get("release")) or UNKNOWN,
        plain(told.get("version")) or "",
        plain(told.get("config_sha256")) or "",
    )
