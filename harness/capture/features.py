# SPDX-License-Identifier: GPL-2.0-or-later
"""What the running kernel has of the things that differ between kernels, for who has only the bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from harness.capture.btf import Btf, load_btf
from harness.capture.kernel import BtrfsKernel, running_kernel, running_symbols
from reference.extent_state import FEATURES

__all__ = ["detect", "present"]

KINDS = ("event", "symbol", "type", "member", "flag", "owner")


def detect(features: Iterable[str] = FEATURES) -> list[str]:
    """Return those of `features` that the running kernel has, sorted.

    A feature is `event:NAME` (a tracepoint), `symbol:NAME` (a function or variable), `type:NAME` (a
    structure), `member:STRUCT.FIELD`, `flag:NAME` (a bit without EXTENT_) or `owner:NAME` (an owner without
    IO_TREE_).
    Raises ValueError for any other, UserError where the kernel cannot be captured.
    """
    return present(features, running_kernel(), running_symbols(), load_btf)


def present(
    features: Iterable[str], kernel: BtrfsKernel, symbols: frozenset[str], load: Callable[[], Btf]
) -> list[str]:
    """Return those of `features` that this kernel has, sorted; `load` gets its BTF when one needs it.

    Where BTF does not describe btrfs (5.10) no structure of btrfs counts as present: prefer symbols.
    """
    wanted = [(feature, *_parsed(feature)) for feature in sorted(set(features))]
    btf = load() if any(kind in ("type", "member") for _, kind, _ in wanted) else None

    def has(kind: str, name: str) -> bool:
        if kind == "event":
            return f"__traceiter_{name}" in symbols
        if kind == "symbol":
            return name in symbols
        if kind == "flag":
            return f"EXTENT_{name}" in kernel.bits
        if kind == "owner":
            return f"IO_TREE_{name}" in kernel.owners
        assert btf is not None
        structure, _, field = name.partition(".")
        members = btf.members(structure)
        return members is not None and (kind == "type" or field in members)

    return [feature for feature, kind, name in wanted if has(kind, name)]


def _parsed(feature: str) -> tuple[str, str]:
    kind, _, name = feature.partition(":")
    whole = name.count(".") == 1 if kind == "member" else "." not in name
    if kind not in KINDS or not name or not whole:
        raise ValueError(f"no feature of a kernel: {feature!r}")
    return kind, name
