# SPDX-License-Identifier: GPL-2.0-or-later
"""What is cut out of BTF says of each structure what the whole says, and nothing of where pointers lead."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import pytest

from harness.capture import btf
from harness.capture.btf import BTF_FOLDER, Btf, load_btf
from harness.capture.excerpt import excerpt
from harness.capture.program import STRUCTURES, structures_read
from harness.capture.testing import Blob


def loaded(folder: Path, vmlinux: bytes, module: bytes | None = None) -> Btf:
    folder.mkdir(exist_ok=True)
    (folder / "vmlinux").write_bytes(vmlinux)
    if module is not None:
        (folder / "btrfs").write_bytes(module)
    return load_btf(folder)


def described(whole: Btf, number: int) -> Any:
    """Return all that decides where members of a type stand: names, sizes, offsets, and the same of these."""
    if number == 0:
        return "void"
    kind, (name, info, target, *rest) = whole.kind(number), whole.type(number)
    said: list[Any] = [whole.string(name), info >> 24]
    if kind in (btf.KIND_STRUCT, btf.KIND_UNION):
        said += [(whole.string(n), o, described(whole, t)) for n, t, o in whole.elements(number)]
    if kind in (btf.KIND_STRUCT, btf.KIND_UNION, btf.KIND_ENUM, btf.KIND_ENUM64, btf.KIND_INT):
        said += [target, rest if kind == btf.KIND_INT else []]
    elif kind == btf.KIND_ARRAY:
        said += [described(whole, rest[0]), described(whole, rest[1]), rest[2]]
    elif kind != btf.KIND_PTR:
        said += [described(whole, target)]
    return said


def assert_same(whole: Btf, part: Btf, name: str) -> None:
    expected = [described(whole, number) for number in whole.named(name)]
    assert expected
    assert [described(part, number) for number in part.named(name)] == expected


def kernel_and_module() -> tuple[Blob, Blob]:
    """Return BTF in which `tree` of the module is made of types of every sort, some of the kernel."""
    kernel = Blob()
    kernel.struct("unused", {"nothing": 0})
    integer = kernel.type(btf.KIND_INT, struct.pack("<I", 32), name="unsigned int", target=4)
    node = kernel.struct("rb_node", {"rb_left": kernel.count + 2})
    assert kernel.type(btf.KIND_PTR, b"", target=node) == node + 1
    module = Blob(kernel)
    fsid = module.type(btf.KIND_ARRAY, struct.pack("<III", integer, integer, 16))
    constant = module.type(btf.KIND_CONST, b"", target=integer)
    typedef = module.type(btf.KIND_TYPEDEF, b"", name="refcount_t", target=constant)
    module.enum({"FIRST": 1, "SECOND": 2})
    enum = module.count
    inside = module.struct("", {"fsid": fsid, "state": enum}, btf.KIND_UNION)
    secret = module.struct("fs_info", {"of_no_concern": integer})
    pointer = module.type(btf.KIND_PTR, b"", target=secret)
    module.struct("tree", {"root": node, "refs": typedef, " ": inside, "fs_info": pointer})
    return kernel, module


def test_types_of_every_sort_are_as_they_were(tmp_path: Path) -> None:
    kernel, module = kernel_and_module()
    whole = loaded(tmp_path / "whole", kernel.data(), module.data())
    part = loaded(tmp_path / "part", excerpt(whole, ["tree"]))
    assert_same(whole, part, "tree")
    assert_same(whole, part, "rb_node")
    assert part.members("tree") == frozenset({"root", "refs", "fsid", "state", "fs_info"})


def test_what_nobody_asked_for_is_left_out(tmp_path: Path) -> None:
    kernel, module = kernel_and_module()
    whole = loaded(tmp_path / "whole", kernel.data(), module.data())
    part = loaded(tmp_path / "part", excerpt(whole, ["tree", "not_there"]))
    assert part.members("unused") is None
    # A pointer leads there.
    assert part.members("fs_info") is None
    # An enum with none of its enumerators, whose names would be wrong here.
    enums = [number for number in range(len(part.starts)) if part.kind(number) == btf.KIND_ENUM]
    assert [len(part.type(number)) for number in enums] == [btf.TYPE_WORDS]


def test_two_types_of_one_name_are_both_kept(tmp_path: Path) -> None:
    """libbpf refuses a program when the kernel's and the module's differ: it must see both."""
    kernel = Blob()
    kernel.struct("tree", {"old": 0})
    module = Blob(kernel)
    module.struct("tree", {"new": 0})
    whole = loaded(tmp_path / "whole", kernel.data(), module.data())
    part = loaded(tmp_path / "part", excerpt(whole, ["tree"]))
    assert len(part.named("tree")) == 2
    assert_same(whole, part, "tree")


def test_of_two_types_of_one_name_and_kind_only_the_module_s_is_taken_if_asked_for(tmp_path: Path) -> None:
    kernel = Blob()
    kernel.struct("bucket", {"of_bpf": 0})
    kernel.type(btf.KIND_TYPEDEF, b"", name="bucket", target=1)
    module = Blob(kernel)
    module.struct("bucket", {"of_bcache": 0})
    whole = loaded(tmp_path / "whole", kernel.data(), module.data())
    part = loaded(tmp_path / "part", excerpt(whole, ["bucket"], last_only=True))
    structures = [n for n in part.named("bucket") if part.kind(n) == btf.KIND_STRUCT]
    # What the typedef of the kernel leads to is there because of that.
    assert [part.string(name) for name, _, _ in part.elements(structures[0])] == ["of_bcache"]


def test_every_structure_that_the_program_declares_is_asked_for() -> None:
    text = STRUCTURES.read_text()
    variants = set(re.findall(r"(?<=struct )\w+___\w+(?= \{)", text))
    assert len(structures_read()) + len(variants) == text.count("} KERNEL") > len(variants)
    assert {"extent_io_tree", "extent_state", "atomic_t"} <= structures_read()


@pytest.mark.skipif(not (BTF_FOLDER / "vmlinux").exists(), reason="the kernel has no BTF")
def test_the_running_kernel_s_own_structures(tmp_path: Path) -> None:
    whole = load_btf()
    part = loaded(tmp_path / "part", excerpt(whole, ["inode", "rb_node", "refcount_t"]))
    for name in ("inode", "rb_node", "refcount_t", "atomic_t"):
        assert_same(whole, part, name)
    assert len(part.starts) < 1000
