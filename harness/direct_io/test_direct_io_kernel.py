# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the programs that record direct reads are put on which kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.capture import kernel as capture_kernel
from harness.capture.btf import Btf, load_btf
from harness.capture.probes import Probe
from harness.capture.testing import Blob
from harness.direct_io import kernel as module
from harness.direct_io.kernel import (
    BIO,
    CALL_FUNCTION,
    DIRECT,
    DIRECT_FUNCTION,
    DONE,
    FLAGS,
    HEAD,
    MAP_REMOVED,
    PAGE,
    PAGE_REMOVED,
    DirectIoKernel,
    why_no_calls,
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


@pytest.mark.parametrize(
    ("kprobes", "begin"),
    [
        (True, Probe("on_call", "kprobe", CALL_FUNCTION)),
        (False, Probe("on_whole_call", "raw_tracepoint", DIRECT)),
    ],
)
def test_calls_begin_at_the_function_or_with_their_first_direct_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kprobes: bool, begin: Probe
) -> None:
    monkeypatch.setattr(module, "_has_kprobes", lambda: kprobes)
    symbols = ALL | {f"__traceiter_{event}" for event in (DONE, PAGE_REMOVED)}
    kernel = DirectIoKernel.of(symbols, btf_of(tmp_path))
    # An end that an interrupt leaves out is no loss.
    ended = Probe("on_done", "raw_tracepoint", DONE, records=False)
    removed = Probe("on_page_removed", "raw_tracepoint", PAGE_REMOVED)
    assert (kernel.call_probes, kernel.sees_all_calls) == ((begin, ended, removed), kprobes)


def test_calls_need_one_of_the_two_and_pages_that_are_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_has_kprobes", lambda: False)
    monkeypatch.setattr(module, "_registers_are_known", lambda: True)
    removed = f"__traceiter_{PAGE_REMOVED}"
    assert why_no_calls(ALL | {removed}) == []
    assert [PAGE_REMOVED in reason for reason in why_no_calls(ALL)] == [True]
    assert ["CONFIG_KPROBES" in reason for reason in why_no_calls(OLD | {removed})] == [True]
