# SPDX-License-Identifier: GPL-2.0-or-later
"""A trial as a script that repeats it with standard tools, without iodiff."""

from __future__ import annotations

import json
import shlex
import textwrap
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

from harness.direct_io.plan import COMPRESSIBLE_WORDS, SNAPSHOT, WORDS, Action, Step
from harness.direct_io.predicted import Predicted, predict_reads
from harness.direct_io.reads import POISON
from harness.direct_io.record import DirectRead
from harness.direct_io.scene import Scene
from harness.direct_io.seen import seen_by_read
from harness.direct_io.threads import KINDS
from harness.direct_io.trial import Trial
from harness.judge.direct_io import ReaderFactory, mainline_reader
from harness.judge.direct_io_compare import BIO_MAX_BYTES, memory_after
from reference.direct_io.mainline import Bio

__all__ = ["script"]

TEMPLATE = Path(__file__).with_name("repeat.sh")
PROGRAM = Path(__file__).with_name("repeat.py")


def script(trial: Trial, check: str, make: ReaderFactory = mainline_reader) -> str:
    """Return a bash script that makes the trial's reads again and says what is not as `make` predicts."""
    scene = trial.scene
    what = (
        f"Repeats direct reads of btrfs of which {check} were not as the model of iodiff says: "
        f"{trial.wrong()[check]}"
    )
    layout = scene.layout
    profiles = ["-d", layout.data, "-m", layout.metadata, *layout.mkfs_options]
    values = {
        "WHAT": "\n# ".join(textwrap.wrap(what, 110)),
        "COUNT": str(layout.devices),
        "SIZE": str(layout.device_bytes),
        "BYTES": str(sum(step.length for step in scene.steps) * layout.devices),
        "OPTIONS": ",".join(layout.mount_options) or "defaults",
        "MKFS": shlex.join(profiles),
        "PROGRAM": PROGRAM.read_text(),
        "STEPS": "\n".join(_lines(scene)),
        "READS": _reads(trial, make),
    }
    text = TEMPLATE.read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def _lines(scene: Scene) -> list[str]:
    lines = [_line(step) for step in scene.steps]
    if any(one.file.startswith(f"{SNAPSHOT}/") for one in scene.reads):
        lines.append(f'try btrfs -q subvolume snapshot -r "$mnt/files" "$mnt/{SNAPSHOT}"')
    return lines


def _line(step: Step) -> str:
    file = f'"$mnt/{step.file}"'
    range_ = f"--offset {step.offset} --length {step.length} {file}"
    words = COMPRESSIBLE_WORDS if step.compressible else WORDS
    lines = {
        Action.CREATE: f"try touch {file}",
        Action.NODATACOW: f"try touch {file} && try chattr +C {file}",
        Action.COMPRESS: f"try touch {file} && try btrfs property set {file} compression {step.how}",
        Action.WRITE: f"write {step.file} {step.offset} {step.length} {step.seed} {words}",
        Action.SHARE: f"share {step.source} {step.source_offset} {step.length} {step.file} {step.offset}",
        Action.TRUNCATE: f"try truncate --size {step.length} {file}",
        Action.ALLOCATE: f"try fallocate {range_}",
        Action.RESERVE: f"try fallocate --keep-size {range_}",
        Action.SYNC: f"try sync {file}",
    }
    return lines[step.action]


def _reads(trial: Trial, make: ReaderFactory) -> str:
    layout = trial.layout
    seen = seen_by_read(layout, trial.reads, trial.events)
    told = []
    errors: Counter[int] = Counter()
    pairs = zip(trial.scene.reads, predict_reads(layout, trial.reads, seen, make), strict=True)
    for one, (read, predicted) in pairs:
        told.append(_read(one.file, read, predicted))
        errors += predicted.outcome.completion.corruption_errs
    counts = [errors[devid] for devid in sorted(layout.devices.values())]
    damaged = any(read.copies for read in trial.reads)
    return json.dumps({"reads": told, "corruption_errs": counts if damaged else None}, indent=1)


def _read(file: str, read: DirectRead, predicted: Predicted) -> dict[str, Any]:
    return {
        "file": file,
        "offset": read.offset,
        "vectors": [list(vector) for vector in read.iov],
        "memory_bytes": read.memory_bytes,
        "nowait": read.nowait,
        "aio": read.aio,
        "thread": read.tid % KINDS,
        "drop": [read.drop_from, read.drop_bytes] if read.cached else None,
        "copies": _copies(read),
        "model": _model(read, predicted),
    }


def _copies(read: DirectRead) -> list[dict[str, Any]]:
    return [
        {
            "device": copy.devid,
            "place": copy.physical,
            "damaged": copy.damaged,
            "before": copy.before,
        }
        for copy in read.copies
    ]


def _model(read: DirectRead, predicted: Predicted) -> dict[str, Any]:
    """Return what the kernel does by the model; what that leaves open is left out."""
    outcome = predicted.outcome
    model: dict[str, Any] = {"return values": outcome.returned}
    if outcome.returned >= 0:
        model["memory"] = zlib.crc32(memory_after(POISON, read.memory_bytes, outcome.writes))
    if outcome.longest_buffered <= BIO_MAX_BYTES:
        model["bios"] = [_bio(bio) for bio in outcome.bios]
    done = outcome.completion
    repairs = [*(["read", *_bio(bio)] for bio in done.reads), *(["write", *_bio(bio)] for bio in done.writes)]
    model["repairs"] = sorted(repairs)
    digests = [predicted.digests_after(copy) for copy in read.copies]
    if all(len(allowed) == 1 for allowed in digests):
        model["copies on disk"] = [digest for (digest,) in digests]
    model["cached pages"] = outcome.pages
    if not read.aio:
        model["direct calls"] = [list(call) for call in predicted.direct]
    return model


def _bio(bio: Bio) -> list[Any]:
    return [bio.kind.name, *bio[1:]]
