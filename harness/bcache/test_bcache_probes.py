# SPDX-License-Identifier: GPL-2.0-or-later
"""The probes of bcache and the Python beside them say the same; why a kernel cannot be recorded."""

from __future__ import annotations

import lzma
import re
from pathlib import Path

import pytest

from harness.bcache.capture import COUNTERS, PROBES
from harness.bcache.needs import why_no_bcache
from harness.bcache.record import EVENT_BYTES, Kind
from harness.capture.program import BCACHE
from harness.kernels import HOST, Kernel

SOURCE = BCACHE.read_text()


def enumerators(name: str) -> list[str]:
    found = re.search(rf"enum {name} \{{(.*?)\}}", SOURCE, re.DOTALL)
    assert found
    return [entry.split("=")[0].strip() for entry in found[1].split(",")]


def test_kinds_are_those_of_the_program() -> None:
    assert enumerators("kind") == [kind.name for kind in sorted(Kind)]
    assert [int(kind) for kind in sorted(Kind)] == list(range(1, len(Kind) + 1))


def test_counters_are_those_of_the_program() -> None:
    assert len(enumerators("counter")) == len(COUNTERS) + 1


def test_every_program_is_attached_once_the_way_it_was_written_for() -> None:
    programs = re.findall(r'SEC\("(\w+)"\)\nint (\w+)\(', SOURCE)
    assert sorted(programs) == sorted((way, program) for program, way, _ in PROBES)


def test_records_fit_without_gaps() -> None:
    # The ring's reader takes records of 8 bytes' multiples, the compiler pads to that.
    assert EVENT_BYTES % 8 == 0


def kernel(tmp_path: Path, name: str, modules: dict[str, bytes]) -> Kernel:
    folder = tmp_path / "lib" / "modules" / "6.0"
    folder.mkdir(parents=True)
    (folder / "modules.dep").write_text("".join(f"{module}:\n" for module in modules))
    for module, data in modules.items():
        (folder / module).write_bytes(data)
    return Kernel(name, "label", "6.0", None, tmp_path, None)


@pytest.mark.parametrize(
    ("name", "modules", "said"),
    [
        ("debian:6.12", {"bcache.ko": b"ELF\0.BTF\0"}, None),
        ("debian:6.12", {"bcache.ko.xz": lzma.compress(b"ELF\0.BTF\0")}, None),
        (
            "debian:6.12",
            {"btrfs.ko": b""},
            "debian:6.12 has no bcache: use a kernel built with CONFIG_BCACHE",
        ),
        (HOST, {"bcache.ko": b"ELF\0.BTF\0"}, "recorded in guests only: give --kernel debian:6.12"),
        ("./bzImage", {"modules.builtin": b"kernel/drivers/md/bcache/bcache.ko\n"}, "has bcache built in"),
        ("debian:5.10", {"bcache.ko": b"ELF"}, "debian:5.10: its bcache has no BTF"),
    ],
)
def test_why_a_kernel_cannot_be_recorded(
    tmp_path: Path, name: str, modules: dict[str, bytes], said: str | None
) -> None:
    reasons = why_no_bcache(kernel(tmp_path, name, modules))
    assert len(reasons) == (said is not None)
    assert all(said in reason for reason in reasons if said)
