# SPDX-License-Identifier: GPL-2.0-or-later
"""What ran where, in words: the facts of a run and of a case as label and value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reports.kernels import Kernel
from reports.run import CaseResult, Run
from reports.text import UNKNOWN, count, dig, duration, mapping, plain, size

__all__ = [
    "Fact",
    "case_facts",
    "devices",
    "kernel_facts",
    "kernel_name",
    "machine",
    "run_facts",
    "seeds",
    "tools",
]

Fact = tuple[str, str]
"""Label and value."""


def run_facts(run: Run) -> list[Fact]:
    """Return what ran, where and how; what is unknown is left out, so are kernels if there are several."""
    wall = duration(run.wall_s)
    facts = [
        *(kernel_facts(run, run.kernels[0]) if not run.several else []),
        ("Machine", machine(run.facts, run.cases)),
        ("Host", plain(run.facts.get("host")) or ""),
        ("Command", run.command),
        ("Seed", seeds(run)),
        ("Groups", _listed(run.facts.get("groups"))),
        ("Suites", _listed(run.facts.get("suites"))),
        ("Work directory on", plain(run.facts.get("work_fs")) or ""),
        ("Started", f"{run.started}, took {wall}" if run.started else f"took {wall}"),
        ("Tools", ", ".join(_tool(name, version) for name, version in tools(run.cases).items())),
    ]
    return [(label, value) for label, value in facts if value]


def kernel_facts(run: Run, kernel: Kernel) -> list[Fact]:
    """Return what one of the run's kernels is and how its guest went; what is unknown is left out."""
    builds = _unique(dig(case.manifest, "kernel", "version") for case in run.on(kernel))
    facts = [
        ("Kernel", kernel_name(kernel)),
        ("Build", kernel.version or "; ".join(builds)),
        ("Guest", kernel.guest_in_words),
        ("Guest lost", kernel.lost),
    ]
    return [(label, value) for label, value in facts if value]


def kernel_name(kernel: Kernel) -> str:
    """Such as `6.12.117+deb12-amd64 (debian:6.12)`; the release alone on the host."""
    return kernel.release if kernel.name == "host" else f"{kernel.release} ({kernel.name})"


def case_facts(case: CaseResult) -> list[Fact]:
    """Return what one case ran on; empty without a record."""
    if case.manifest is None:
        return []
    capture = dig(case.manifest, "capture")
    facts = [
        ("Kernel", kernel_name(case.kernel)),
        ("Guest", case.kernel.guest_in_words),
        ("Devices", devices(case.manifest)),
        ("mkfs.btrfs options", _words(dig(case.manifest, "devices", "mkfs_options"))),
        ("Mount options", _mount_options(dig(case.manifest, "devices"))),
        ("Direct I/O to backing files", _direct_io(dig(case.manifest, "devices"))),
        (
            "Recorded by",
            f"{plain(dig(capture, 'method')) or UNKNOWN}, clock {dig(capture, 'clock') or UNKNOWN}",
        ),
        ("Ring buffer", _ring(dig(capture, "ring_bytes"))),
        ("Seed", str(case.manifest.get("seed", UNKNOWN))),
        ("Recording took", _times(case)),
    ]
    return [(label, value) for label, value in facts if value]


def devices(manifest: Mapping[str, Any] | None) -> str:
    """Such as `4 x 2 GiB, loop devices on tmpfs, data raid1, metadata raid1`, or what a cache is made of."""
    layout = dig(manifest, "devices")
    if not isinstance(layout, Mapping):
        return UNKNOWN
    if "cache_mode" in layout:
        return (
            f"{size(layout.get('size_bytes'))} cached by {size(layout.get('cache_bytes'))}, {_kind(layout)}"
            f"{layout['cache_mode']}, buckets of {size(layout.get('bucket_bytes'))}"
        )
    return (
        f"{count(layout.get('count'))} x {size(layout.get('size_bytes'))}, {_kind(layout)}"
        f"data {layout.get('data') or UNKNOWN}, metadata {layout.get('metadata') or UNKNOWN}"
    )


def machine(run_facts: Mapping[str, Any], cases: Sequence[CaseResult]) -> str:
    """CPUs, memory, architecture, hypervisor, as `run.json` or else a case says; empty when unknown."""
    told = [run_facts.get("machine"), *(dig(case.manifest, "machine") for case in cases)]
    facts = next((facts for facts in told if isinstance(facts, Mapping)), None)
    if facts is None:
        return next((name for name in told if isinstance(name, str)), "")
    cpus = facts.get("cpus")
    words = [f"{cpus} CPU{'' if cpus == 1 else 's'}", f"{size(facts.get('memory_bytes'))} memory"]
    words += [str(facts["arch"])] if facts.get("arch") else []
    virtual = facts.get("virtual")
    words += [f"virtual ({virtual})" if isinstance(virtual, str) else "virtual"] if virtual else []
    return ", ".join(words)


def seeds(run: Run) -> str:
    """The run's seed, or those of its cases."""
    told = run.facts.get("seed")
    return str(told) if told is not None else ", ".join(_unique(str(case.verdict.seed) for case in run.cases))


def tools(cases: Sequence[CaseResult]) -> dict[str, str]:
    """Versions of the tools by name, over all these cases."""
    found: dict[str, str] = {}
    for case in cases:
        found.update({str(k): str(v) for k, v in mapping(case.manifest, "tools").items()})
    return found


def _tool(name: str, version: str) -> str:
    return version if version.startswith(name) else f"{name} {version}"


def _times(case: CaseResult) -> str:
    cpu = dig(case.manifest, "cpu_s")
    spent = f", {duration(cpu)} CPU" if cpu is not None else ""
    judged = f"; judged in {duration(case.verdict.judged_s)}" if case.verdict.judged_s else ""
    return f"{duration(case.wall_s)}{spent}{judged}"


def _ring(ring_bytes: Any) -> str:
    return "" if ring_bytes is None else size(ring_bytes)


def _unique(values: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(str(value) for value in values if value not in (None, "")))


def _listed(value: Any) -> str:
    return ", ".join(str(item) for item in value) if isinstance(value, list) else ""


def _words(value: Any) -> str:
    return " ".join(str(item) for item in value) if isinstance(value, list) else str(value or "")


def _kind(layout: Mapping[str, Any]) -> str:
    """Return what the devices are, with a comma; empty for bundles that do not say."""
    kinds = {
        "loop": "loop devices",
        "drive": "virtio drives",
        "rotational": "rotational virtio drives (simulated)",
    }
    kind = kinds.get(str(layout.get("kind")), "")
    on = plain(layout.get("backing"))
    return f"{kind}{f' on {on}' if on else ''}, " if kind else ""


def _mount_options(layout: Any) -> str:
    """Return them in words; empty for a cache, which is not mounted."""
    return "" if dig(layout, "cache_mode") else _words(dig(layout, "mount_options")) or "defaults"


def _direct_io(layout: Any) -> str:
    """Return whether loop devices do direct I/O on their files; empty for other devices."""
    return "" if dig(layout, "kind") in ("drive", "rotational") else _yes_no(dig(layout, "direct_io"))


def _yes_no(value: Any) -> str:
    if not isinstance(value, bool):
        return UNKNOWN
    return "yes" if value else "no"
