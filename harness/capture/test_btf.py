# SPDX-License-Identifier: GPL-2.0-or-later
"""Enumerators are found between types of every other kind, in BTF made here and in the kernel's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.capture.btf import BTF_FOLDER, load_btf
from harness.capture.testing import Blob
from harness.errors import UserError

# Documentation/bpf/btf.rst: bytes that follow each kind, given two elements where there are any.
INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC = range(1, 13)
FUNC_PROTO, VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64 = range(13, 20)
TRAILERS = {
    INT: 4,
    PTR: 0,
    ARRAY: 12,
    STRUCT: 2 * 12,
    UNION: 2 * 12,
    FWD: 0,
    TYPEDEF: 0,
    VOLATILE: 0,
    CONST: 0,
    RESTRICT: 0,
    FUNC: 0,
    FUNC_PROTO: 2 * 8,
    VAR: 4,
    DATASEC: 2 * 12,
    FLOAT: 0,
    DECL_TAG: 4,
    TYPE_TAG: 0,
}
WITH_ELEMENTS = (STRUCT, UNION, FUNC_PROTO, DATASEC)
SIGNED = 1 << 31


def enumerators(prefixes: tuple[str, ...], folder: Path = BTF_FOLDER) -> dict[str, int]:
    return load_btf(folder).enumerators(prefixes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def test_enums_are_found_behind_every_kind_of_type(folder: Path) -> None:
    blob = Blob()
    wanted = {}
    for kind, size in TRAILERS.items():
        # 0xff throughout: whoever reads a trailer as a type goes astray.
        blob.type(kind, b"\xff" * size, 2 if kind in WITH_ELEMENTS else 0)
        wanted[f"EXTENT_{kind}"] = kind
        blob.enum({f"EXTENT_{kind}": kind, f"OTHER_{kind}": 99})
    (folder / "vmlinux").write_bytes(blob.data())
    assert enumerators(("EXTENT_",), folder) == wanted


def test_values_of_every_width_and_sign(folder: Path) -> None:
    blob = Blob()
    unsigned = {"A_LAST_BIT": 1 << 31, "A_ALL": 2**32 - 1, "A_NONE": 0}
    signed = {"B_LEAST": -(1 << 31), "B_MINUS": -1, "B_ONE": 1}
    unsigned64 = {"C_LAST_BIT": 1 << 63, "C_MIDDLE": 1 << 32}
    signed64 = {"D_LEAST": -(1 << 63), "D_MINUS": -1}
    blob.enum(unsigned)
    blob.enum(signed, SIGNED)
    blob.enum64(unsigned64)
    blob.enum64(signed64, SIGNED)
    blob.enum({"E_AFTER": 5})
    (folder / "vmlinux").write_bytes(blob.data())
    found = enumerators(("A_", "B_", "C_", "D_", "E_"), folder)
    assert found == {**unsigned, **signed, **unsigned64, **signed64, "E_AFTER": 5}


def test_a_longer_header_is_skipped(folder: Path) -> None:
    blob = Blob()
    blob.enum({"EXTENT_DIRTY": 1})
    (folder / "vmlinux").write_bytes(blob.data(header_bytes=40))
    assert enumerators(("EXTENT_",), folder) == {"EXTENT_DIRTY": 1}


def test_btrfs_as_a_module_has_btf_of_its_own(folder: Path) -> None:
    kernel = Blob()
    kernel.enum({"EXTENT_OF_KERNEL": 1})
    module = Blob(kernel)
    module.enum({"EXTENT_LOCKED": 2, "EXTENT_DIO_LOCKED": 4})
    (folder / "vmlinux").write_bytes(kernel.data())
    (folder / "btrfs").write_bytes(module.data())
    expected = {"EXTENT_OF_KERNEL": 1, "EXTENT_LOCKED": 2, "EXTENT_DIO_LOCKED": 4}
    assert enumerators(("EXTENT_",), folder) == expected


def test_members_are_found_in_anonymous_members_too(folder: Path) -> None:
    kernel = Blob()
    root = kernel.struct("rb_root", {"rb_node": 0})
    module = Blob(kernel)
    union = module.struct("", {"fs_info": 0, "inode": 0}, UNION)
    module.struct("extent_io_tree", {"state": root, " ": union, "owner": 0})
    (folder / "vmlinux").write_bytes(kernel.data())
    (folder / "btrfs").write_bytes(module.data())
    btf = load_btf(folder)
    assert btf.members("extent_io_tree") == frozenset({"state", "fs_info", "inode", "owner"})
    assert btf.members("rb_root") == frozenset({"rb_node"})
    assert btf.members("extent_io") is None
    assert btf.knows("extent_io_tree")
    assert not btf.knows("owner")


def test_parameters_of_functions(folder: Path) -> None:
    blob = Blob()
    blob.struct("clear_extent_bit", {"tree": 0})
    blob.function("clear_extent_bit", "tree", "start", "delete")
    blob.function("nothing")
    (folder / "vmlinux").write_bytes(blob.data())
    btf = load_btf(folder)
    assert btf.parameters("clear_extent_bit") == ("tree", "start", "delete")
    assert btf.parameters("nothing") == ()
    assert btf.parameters("set_extent_bit") is None


def whole() -> bytes:
    blob = Blob()
    blob.enum({"EXTENT_DIRTY": 1})
    return blob.data()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "too short"),
        (whole()[:20], "too short"),
        (b"\x7fELF" + bytes(60), "not BTF"),
        (whole()[:2][::-1] + whole()[2:], "not BTF"),
        (whole()[:-1], "truncated"),
        (whole()[:30], "truncated"),
    ],
)
def test_what_is_not_btf_is_refused(folder: Path, data: bytes, reason: str) -> None:
    (folder / "vmlinux").write_bytes(data)
    with pytest.raises(UserError, match=f"vmlinux: no usable BTF \\({reason}\\)"):
        enumerators(("EXTENT_",), folder)


def test_a_kernel_without_btf_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="CONFIG_DEBUG_INFO_BTF"):
        enumerators(("EXTENT_",), folder)


@pytest.mark.skipif(not (BTF_FOLDER / "vmlinux").exists(), reason="the kernel has no BTF")
def test_the_running_kernel_is_understood() -> None:
    # Values that are part of the kernel's interface: enum bpf_prog_type.
    found = enumerators(("BPF_PROG_TYPE_",))
    assert found["BPF_PROG_TYPE_UNSPEC"] == 0
    assert found["BPF_PROG_TYPE_KPROBE"] == 2


@pytest.mark.live
def test_the_running_kernel_tells_the_bits_of_btrfs() -> None:
    bits = enumerators(("EXTENT_",))
    for name in ("EXTENT_LOCKED", "EXTENT_DELALLOC", "EXTENT_BOUNDARY", "EXTENT_NORESERVE"):
        assert bits[name].bit_count() == 1
    assert "IO_TREE_INODE_IO" in enumerators(("IO_TREE_",))
