# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the programs that record direct reads are put on which kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.capture import kernel as capture_kernel
from harness.capture.btf import Btf, load_btf
from harness.capture.testing import Blob
from harness.direct_io import kernel as module
from harness.direct_io.kernel import (
    BIO,
    DIRECT,
    DIRECT_FUNCTION,
    FLAGS,
    HEAD,
    MAP_REMOVED,
    PAGE,
    DirectIoKernel,
)
from harness.errors import UserError
from reference.direct_io.mainline import FEATURES, Behaviour, behaviour_of

ALL = frozenset(f"__traceiter_{event}" for event in (BIO, DIRECT, PAGE, MAP_REMOVED))
OLD = frozenset({f"__traceiter_{BIO}", f"__traceiter_{PAGE}", DIRECT_FUNCTION})
NEW = frozenset(feature.removeprefix("symbol:") for feature in FEATURES)


def btf_of(
    folder: Path, bio_parameters: tuple[str, ...] = ("__data", "bio"), *, preempts: bool = False
) -> Btf:
    blob = Blob()
    blob.enum({name: number for number, name in enumerate((*FLAGS, HEAD), 11)})
    blob.function(f"__traceiter_{BIO}", *bio_parameters)
    if preempts:
        blob.struct(capture_kernel.PREEMPTED_TRACEPOINTS, {"lock": 0})
    (folder / "vmlinux").write_bytes(blob.data())
    return load_btf(folder)


def places(kernel: DirectIoKernel) -> dict[str, tuple[str, str]]:
    return {probe.program: (probe.way, probe.place) for probe in kernel.probes}


def test_a_new_kernel_has_a_tracepoint_for_everything(tmp_path: Path) -> None:
    kernel = DirectIoKernel.of(ALL | NEW, btf_of(tmp_path))
    assert behaviour_of(kernel.features) == Behaviour.linux_7_2
    assert places(kernel) == {
        "on_bio": ("raw_tracepoint", BIO),
        "on_direct": ("raw_tracepoint", DIRECT),
        "on_page": ("raw_tracepoint", PAGE),
        "on_map_removed": ("raw_tracepoint", MAP_REMOVED),
    }
    assert kernel.flags == {"__REQ_SYNC": 1 << 11, "__REQ_META": 1 << 12, "__REQ_RAHEAD": 1 << 13}
    assert kernel.large == 1 << 14


def test_an_old_one_has_a_kprobe_at_the_function_and_no_shrinker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_registers_are_known", lambda: True)
    kernel = DirectIoKernel.of(OLD, btf_of(tmp_path))
    assert behaviour_of(kernel.features) == Behaviour.linux_5_10
    assert places(kernel) == {
        "on_bio": ("raw_tracepoint", BIO),
        "on_direct_entry": ("kprobe", DIRECT_FUNCTION),
        "on_page": ("raw_tracepoint", PAGE),
    }
    monkeypatch.setattr(module, "_registers_are_known", lambda: False)
    with pytest.raises(UserError, match="or x86-64"):
        DirectIoKernel.of(OLD, btf_of(tmp_path))


def test_the_bio_is_the_second_argument_where_the_queue_is_the_first(tmp_path: Path) -> None:
    kernel = DirectIoKernel.of(ALL, btf_of(tmp_path, ("__data", "q", "bio")))
    assert "on_bio" not in places(kernel)
    assert places(kernel)["on_bio_of_queue"] == ("raw_tracepoint", BIO)


def test_where_tracepoints_are_preempted_kprobes_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture_kernel, "KPROBE_PMU", tmp_path)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    probes = DirectIoKernel.of(ALL, btf_of(tmp_path, preempts=True)).probes
    assert {p.place for p in probes if p.records and p.way == "kprobe"} == ALL
    # A tracepoint with one program calls it past the function where the kprobe is.
    for event in (BIO, DIRECT, PAGE, MAP_REMOVED):
        there = [p for p in probes if p.place == event]
        assert [p.program for p in there] == ["nothing"] * 2
        assert not any(p.records for p in there)
