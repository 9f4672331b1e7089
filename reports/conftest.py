# SPDX-License-Identifier: GPL-2.0-or-later
"""Synthetic run folders, built the way the runner builds real ones."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.bundle import VERDICT_FILE, BundleWriter
from harness.verdicts import CaseVerdict, Check, Difference, Verdict

HOSTILE = "<script>alert('x')</script>&\"|`\x1b[31m\u202e[bold]"
"""Everything a report could trip over: markup, quotes, table cells, escape sequences, bidi marks."""

KERNEL = "6.18.44"


def manifest(case: str, **changes: Any) -> dict[str, Any]:
    suite, _, name = case.partition("/")
    facts = {
        "run_id": "20261120-101500-ab12",
        "case": {"id": case, "suite": suite, "title": f"What {name} does", "groups": ["quick", "auto"]},
        "seed": 7,
        "kernel": {"release": KERNEL, "version": "#1 SMP PREEMPT_DYNAMIC", "source": "host"},
        "machine": {"cpus": 2, "memory_bytes": 8 << 30, "arch": "x86_64", "virtual": "kvm"},
        "tools": {"fio": "fio-3.33", "btrfs-progs": "6.2", "python": "3.11.2"},
        "devices": {
            "kind": "loop",
            "backing": "tmpfs",
            "count": 4,
            "size_bytes": 2 << 30,
            "data": "raid1",
            "metadata": "raid1",
            "mkfs_options": ["-n", "16384"],
            "mount_options": ["noatime"],
            "direct_io": True,
            "fsid": "0b6e…",
        },
        "capture": {
            "method": "bpf",
            "events": 1000,
            "lost": 0,
            "lost_reasons": {"ring full": 0, "reader late": 0},
            "clock": "boot",
            "ring_bytes": 64 << 20,
        },
        "started": "2026-11-20T10:15:00Z",
        "wall_s": 12.125,
        "cpu_s": 3.5,
        "error": None,
    }
    return {**facts, **changes}


def timeline(buckets: int = 400, scale: int = 40) -> dict[str, Any]:
    wave = [1 + math.sin(n / 30) + 0.3 * math.sin(n * 1.7) for n in range(buckets)]
    states = [int(20 * scale * (1 - math.cos(n / 60)) + scale * abs(wave[n])) for n in range(buckets)]
    return {
        "t_s": [n / 20 for n in range(buckets)],
        "ops": {
            "set": [int(scale * 10 * abs(w)) for w in wave],
            "clear": [int(scale * 7 * abs(w)) for w in wave],
            "convert": [int(scale * 2 * abs(w)) for w in wave],
        },
        "live_states": states,
        "checkpoints": [
            {"name": f"after-{n}", "t_s": n / 20, "live_states": states[n]}
            for n in (buckets // 4, buckets // 2, buckets - 5)
        ],
    }


def fio_json(job: str = "randrw") -> str:
    def figures(ios: int) -> dict[str, Any]:
        percentiles = {"50.000000": 52992, "99.000000": 2467840}
        return {
            "total_ios": ios,
            "bw_bytes": 63488000,
            "iops": 15500.4,
            "clat_ns": {"percentile": percentiles},
        }

    jobs = [{"jobname": job, "read": figures(496), "write": figures(528), "trim": {"total_ios": 0}}]
    return "note: before the JSON\n" + json.dumps({"fio version": "fio-3.33", "jobs": jobs})


def record(
    folder: Path,
    facts: dict[str, Any],
    *,
    fio: bool = True,
    name: str = "randrw",
    long: int = 1,
    spoilt: str = "",
) -> None:
    """Write a bundle; `long` multiplies its steps, log lines and checkpoints, `spoilt` spoils these."""
    writer = BundleWriter(folder)
    if fio:
        writer.add_text("fio/01-randrw.json", fio_json(name))
        process = {"pid": 1, "cpu_user_us": 250000, "cpu_system_us": 1500000, "blkio_delay_ns": 2500000000}
        writer.add_json("taskstats.json", [{"job": name, "processes": [process, process]}])
    tree = [1, 6, 257, 5, False, 3]
    walk = {
        "at_event": 10,
        "time_ns": 5 * 10**9,
        "reason": spoilt,
        "valid": not spoilt,
        "live_states": 6,
        "trees": [tree, tree],
    }
    writer.add_json("checkpoints.json", [{**walk, "name": f"{name}-{n}"} for n in range(long)])
    step = {"begin_ns": 10**6, "end_ns": 3 * 10**6, "arguments": ["subvolume", "snapshot", name], "result": 0}
    writer.add_json("steps.json", [{**step, "name": "btrfs"}] * 2 * long)
    log = f"[   12.345678] BTRFS info (device loop0): first mount of filesystem {name}\n"
    writer.add_text("dmesg.txt", log * 3 * long)
    writer.finish(facts)


def judge(folder: Path, verdict: CaseVerdict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / VERDICT_FILE).write_text(json.dumps(verdict.to_json()))


def verdict_of(case: str, verdict: Verdict, checks: Sequence[Check] = (), **more: Any) -> CaseVerdict:
    commands = {"repeat": f"./iodiff run --seed 7 {case}", "judge": f"./iodiff judge results/r/{case}"}
    return CaseVerdict(
        case, case.partition("/")[0], verdict, tuple(checks), **{"seed": 7, **commands, **more}
    )


def kernel(name: str, cases: Sequence[str], **changes: Any) -> dict[str, Any]:
    """An entry of `kernels` in run.json."""
    label = name.replace(":", "-")
    facts = {"name": name, "label": label, "release": None, "version": None, "config_sha256": None}
    return {**facts, "guest": None, "wall_s": 72.5, "lost": None, "cases": list(cases), **changes}


def write_run(folder: Path, cases: Sequence[str], **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    facts = {
        "format": 2,
        "run_id": "20261120-101500-ab12",
        "started": "2026-11-20T10:15:00Z",
        "command": "./iodiff run --group quick",
        "kernels": [kernel("host", cases, release=KERNEL)],
        "machine": {"cpus": 2, "memory_bytes": 8 << 30, "arch": "x86_64", "virtual": "kvm"},
        "host": "testhost",
        "wall_s": 72.5,
        "seed": 7,
        "groups": ["quick"],
        "suites": ["extent_state"],
        "cases": list(cases),
        "interrupted": False,
        "work_fs": "ext4",
    }
    (folder / "run.json").write_text(json.dumps({**facts, **changes}))
    return folder


DIFFERENCE = Difference(
    "the model merges the two states, the kernel keeps them apart",
    event=1234,
    time_ns=532_000_000,
    model=("[0, 4095] DELALLOC", "[4096, 16383] LOCKED", "[16384, 20479] DELALLOC"),
    kernel=("[0, 4095] DELALLOC", "[4096, 8191] LOCKED", "[8192, 16383] LOCKED", "[16384, 20479] DELALLOC"),
)

CASES = [
    f"extent_state/{name}"
    for name in ("random-writes", "mmap-shared", "contention", "raid1c4", "hostile|<b>")
]


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A run with a PASS, a FAIL, an UNDECIDED, a SKIP without a bundle, and a PASS with hostile names."""
    return build_sample(tmp_path / "run")


def build_sample(root: Path) -> Path:
    passed, failed, undecided, skipped, hostile = CASES
    folder = {case: root / "host" / case.partition("/")[2] for case in CASES}
    record(folder[passed], manifest(passed))
    checks = [
        Check.of("operations", 862_981, 0, detail="set, clear, convert"),
        Check.of("checkpoints", 8209, 0, detail="3 checkpoints"),
    ]
    counts = {"frees deferred by cached references": 4, "known issue: a truncate overtakes a direct write": 1}
    judge(
        folder[passed],
        verdict_of(
            passed, Verdict.PASS, checks, events=2_590_000, counts=counts, judged_s=2.5, timeline=timeline()
        ),
    )
    record(folder[failed], manifest(failed), fio=False)
    checks = [
        Check.of("operations", 1000, 2, detail="wrong: merge", first=DIFFERENCE),
        Check.of("checkpoints", 0, 0),
    ]
    judge(folder[failed], verdict_of(failed, Verdict.FAIL, checks, events=3000, counts=counts))
    capture = {"method": "tracefs", "lost": 17, "lost_reasons": {"ring full": 17}, "clock": "counter"}
    record(
        folder[undecided],
        manifest(undecided, capture=capture, error="the reader died"),
        spoilt="3 events fired",
    )
    checks = [Check("operations", Verdict.UNDECIDED, 500, 0, "17 events were lost")]
    reasons = ("17 of 2,017 events were lost", "the recording broke off: the reader died")
    lost = verdict_of(undecided, Verdict.UNDECIDED, checks, events=2000, lost=17, reasons=reasons)
    judge(folder[undecided], lost)
    reasons = ("the kernel has no raid1c4", "needs 4 devices of 8 GiB: 3 GiB free")
    judge(folder[skipped], verdict_of(skipped, Verdict.SKIP, reasons=reasons))
    _hostile(folder[hostile], hostile)
    return write_run(root, CASES)


def _hostile(folder: Path, case: str) -> None:
    facts = manifest(
        case, tools={HOSTILE: HOSTILE}, error=HOSTILE, devices={"data": HOSTILE, "count": HOSTILE}
    )
    facts["case"]["title"] = HOSTILE
    record(folder, facts, name=HOSTILE)
    series = timeline(scale=20)
    series["ops"] = {HOSTILE: series["ops"]["set"]}
    series["checkpoints"][0]["name"] = HOSTILE
    check = Check.of(HOSTILE, 5, 0, detail=HOSTILE)
    texts: dict[str, Any] = {
        "reasons": (HOSTILE,),
        "counts": {HOSTILE: 1},
        "repeat": HOSTILE,
        "judge": HOSTILE,
    }
    judge(folder, verdict_of(case, Verdict.PASS, [check], events=10, timeline=series, **texts))
