# SPDX-License-Identifier: GPL-2.0-or-later
"""What a capture must know of a kernel is asked of its symbols, its BTF and its trace events."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.capture import kernel as kernel_module
from harness.capture.btf import Btf, load_btf
from harness.capture.features import present
from harness.capture.kernel import CLEAR_FUNCTION, TRACEPOINTS, BtrfsKernel
from harness.capture.probes import probes
from harness.capture.records import Kind
from harness.capture.testing import Blob
from harness.errors import UserError

NEW = frozenset(f"__traceiter_{names[0]}" for names in TRACEPOINTS.values())
OLD = frozenset(f"__traceiter_{names[-1]}" for names in TRACEPOINTS.values())
SYMBOLS_5_10 = OLD | {CLEAR_FUNCTION, "btrfs_reada_add"}
SYMBOLS_6_1 = OLD | {CLEAR_FUNCTION, "btrfs_update_inode_bytes"}
BITS = {"EXTENT_LOCKED": 2, "EXTENT_CLEAR_ALL_BITS": 1 << 17}
OWNERS = {"IO_TREE_INODE_IO": 3, "IO_TREE_DEVICE_ALLOC_STATE": 10}
PRINTED = """\
ID: 7
\tfield:unsigned owner;\toffset:24;\tsize:4;\tsigned:0;
\tfield:unsigned set_bits;\toffset:64;\tsize:4;\tsigned:0;
print fmt: "", __print_symbolic(REC->owner, {OWNERS}), __print_flags(REC->set_bits, "|", {BITS})
"""
PRINTED_OWNERS = '{0, "PINNED_EXTENTS"}, {1, "EXCLUDED_EXTENTS"}, {3, "INODE_IO"}, {10, "SELFTEST"}'
PRINTED_BITS = '{ (1U << 0), "DIRTY"}, { (1U << 2), "LOCKED"}'


def btf_of(folder: Path, blob: Blob) -> Btf:
    folder.mkdir(exist_ok=True)
    (folder / "vmlinux").write_bytes(blob.data())
    return load_btf(folder)


def events_of(folder: Path, owners: str = PRINTED_OWNERS, bits: str = PRINTED_BITS) -> Path:
    event = folder / "events" / "btrfs_set_extent_bit"
    event.mkdir(parents=True)
    (event / "format").write_text(PRINTED.replace("{OWNERS}", owners).replace("{BITS}", bits))
    return folder / "events"


def described(owners: bool = True, bits: bool = True) -> Blob:
    blob = Blob()
    blob.struct("extent_io_tree", {"state": 0, "owner": 0})
    blob.enum((BITS if bits else {}) | (OWNERS if owners else {}))
    return blob


def test_a_kernel_that_says_everything_in_btf(tmp_path: Path) -> None:
    kernel = BtrfsKernel.of(NEW, btf_of(tmp_path, described()))
    assert kernel.tracepoints[Kind.ALLOC] == "btrfs_alloc_extent_state"
    assert (kernel.bits, kernel.owners) == (BITS, OWNERS)
    assert not kernel.hides_delete
    assert not kernel.preempts
    assert kernel.layout is None
    attached = {(p.program, p.way, p.place) for p in probes(kernel)}
    assert ("on_free", "raw_tracepoint", "btrfs_free_extent_state") in attached
    assert len(attached) == len(Kind)


def test_flags_of_other_things_are_no_bits_of_a_state(tmp_path: Path) -> None:
    """A report called EXTENT_BUFFER_STALE a state bit that some kernels lack."""
    blob = described()
    blob.enum({"EXTENT_FLAG_PINNED": 1, "EXTENT_BUFFER_STALE": 3})
    assert BtrfsKernel.of(NEW, btf_of(tmp_path, blob)).bits == BITS


def test_tracepoints_by_their_older_names(tmp_path: Path) -> None:
    kernel = BtrfsKernel.of(OLD, btf_of(tmp_path, described()))
    assert kernel.tracepoints[Kind.ALLOC] == "alloc_extent_state"
    assert kernel.tracepoints[Kind.FREE] == "free_extent_state"
    assert kernel.tracepoints[Kind.SET] == "btrfs_set_extent_bit"


def test_a_kernel_without_btrfs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no tracepoint btrfs:btrfs_set_extent_bit: modprobe btrfs"):
        BtrfsKernel.of(frozenset({"main"}), btf_of(tmp_path, described()))


def test_bits_from_a_trace_event_where_btf_has_none(tmp_path: Path) -> None:
    btf = btf_of(tmp_path, described(bits=False))
    kernel = BtrfsKernel.of(SYMBOLS_6_1, btf, events_of(tmp_path))
    assert kernel.bits == {
        "EXTENT_DIRTY": 1,
        "EXTENT_LOCKED": 4,
        "EXTENT_ADD_INODE_BYTES": 1 << 15,
        "EXTENT_CLEAR_ALL_BITS": 1 << 16,
    }
    assert kernel.owners == OWNERS


def test_a_kernel_without_btf_of_btrfs_has_a_layout_of_ours(tmp_path: Path) -> None:
    kernel = BtrfsKernel.of(SYMBOLS_5_10, btf_of(tmp_path, Blob()), events_of(tmp_path))
    assert kernel.layout == "btrfs_5_10"
    assert kernel.hides_delete
    assert kernel.bits == {"EXTENT_DIRTY": 1, "EXTENT_LOCKED": 4, "EXTENT_CLEAR_ALL_BITS": 1 << 16}
    assert kernel.owners["IO_TREE_FS_PINNED_EXTENTS"] == 0
    assert kernel.owners["IO_TREE_FS_EXCLUDED_EXTENTS"] == 1
    assert kernel.owners["IO_TREE_DEVICE_ALLOC_STATE"] == 11
    attached = [(p.program, p.way, p.place) for p in probes(kernel)]
    assert ("on_clear_entry", "kprobe", CLEAR_FUNCTION) in attached
    assert "on_clear" not in [program for program, _, _ in attached]
    # It compares what on_set has read for the same event.
    assert attached[-1] == ("compare_set", "tracepoint", "btrfs_set_extent_bit")


@pytest.mark.parametrize(
    "symbols",
    [SYMBOLS_5_10 | {"btrfs_update_inode_bytes"}, SYMBOLS_5_10 - {"btrfs_reada_add"}, OLD],
)
def test_a_kernel_whose_layout_is_not_known_is_refused(tmp_path: Path, symbols: frozenset[str]) -> None:
    with pytest.raises(UserError, match="BTF does not describe btrfs: use a kernel with BTF of its modules"):
        BtrfsKernel.of(symbols, btf_of(tmp_path, Blob()), events_of(tmp_path))


@pytest.mark.parametrize(
    ("owners", "bits", "what"),
    [(PRINTED_OWNERS, '{ EXTENT_LOCKED, "LOCKED"}', "bits"), ('{3, "INODE_IO"}', PRINTED_BITS, "owners")],
)
def test_names_that_nobody_tells_are_refused(tmp_path: Path, owners: str, bits: str, what: str) -> None:
    with pytest.raises(UserError, match=f"neither the kernel's BTF nor its trace events name the {what}"):
        BtrfsKernel.of(SYMBOLS_5_10, btf_of(tmp_path, Blob()), events_of(tmp_path, owners, bits))


@pytest.mark.parametrize(
    ("parameters", "hides"),
    [
        (("tree", "start", "end", "bits", "wake", "delete", "cached_state"), True),
        (("tree", "start", "end", "bits", "cached_state", "mask", "changeset"), False),
    ],
)
def test_delete_is_found_among_the_parameters(
    tmp_path: Path, parameters: tuple[str, ...], hides: bool
) -> None:
    blob = described()
    blob.function(CLEAR_FUNCTION, *parameters)
    assert BtrfsKernel.of(OLD, btf_of(tmp_path, blob)).hides_delete == hides


def test_tracepoints_that_can_be_preempted_are_recorded_where_they_are_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = described()
    blob.struct(kernel_module.PREEMPTED_TRACEPOINTS, {"lock": 0})
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(kernel_module, "KPROBE_PMU", tmp_path / "kprobe")
    btf = btf_of(tmp_path, blob)
    assert not BtrfsKernel.of(NEW, btf).preempts
    (tmp_path / "kprobe").touch()
    kernel = BtrfsKernel.of(NEW, btf)
    assert kernel.preempts
    attached = probes(kernel)
    calls = {(p.program, p.place) for p in attached if p.records}
    assert ("on_set_call", "__traceiter_btrfs_set_extent_bit") in calls
    assert len(calls) == len(Kind)
    # The function is only called for two programs or more.
    for tracepoint in kernel.tracepoints.values():
        assert [p.program for p in attached if p.place == tracepoint] == ["nothing"] * 2


def test_features_of_every_kind(tmp_path: Path) -> None:
    btf = btf_of(tmp_path, described())
    symbols = NEW | {"btrfs_init"}
    kernel = BtrfsKernel.of(symbols, btf)
    had = [
        "event:btrfs_set_extent_bit",
        "flag:LOCKED",
        "member:extent_io_tree.owner",
        "owner:INODE_IO",
        "symbol:btrfs_init",
        "type:extent_io_tree",
    ]
    not_had = [f"{feature}x" for feature in had] + ["member:none.owner", "type:owner"]
    assert present([*not_had, *reversed(had), *had], kernel, symbols, lambda: btf) == had


@pytest.mark.parametrize("feature", ["", "symbol", "symbol:", "kernel:6.1", "member:inode", "type:a.b"])
def test_what_is_no_feature_is_refused(tmp_path: Path, feature: str) -> None:
    btf = btf_of(tmp_path, described())
    with pytest.raises(ValueError, match="no feature of a kernel"):
        present([feature], BtrfsKernel.of(NEW, btf), NEW, lambda: btf)


def test_symbols_by_the_names_of_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kallsyms = tmp_path / "kallsyms"
    kallsyms.write_text("0000000000000000 t lock_extent.isra.0\t[btrfs]\n0000000000000000 T btrfs_init\n")
    monkeypatch.setattr(kernel_module, "KALLSYMS", kallsyms)
    kernel_module.running_symbols.cache_clear()
    assert kernel_module.running_symbols() == {"lock_extent.isra.0", "lock_extent", "btrfs_init"}
    kernel_module.running_symbols.cache_clear()
