# SPDX-License-Identifier: GPL-2.0-or-later
"""The module's interface, as C and Python have it."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.readahead import device
from harness.readahead.module import SOURCES
from harness.readahead.record import Kind

NAMES = {"DEV": "DEV_ENTER", "MACHINE": "START"}
"""What the module calls otherwise."""

COMMANDS = {
    "IODIFF_START": device._START,
    "IODIFF_STOP": device._STOP,
    "IODIFF_ADD_READAHEAD": device._ADD,
    "IODIFF_WAIT_READAHEAD": device._WAIT,
    "IODIFF_DETACH_READAHEAD": device._DETACH,
    "IODIFF_WALK_TREE": device._WALK,
}
STRUCTURES = {
    "iodiff_trace": device._Trace,
    "iodiff_counts": device._Counts,
    "iodiff_request": device._Request,
}


def test_kinds_are_those_of_records() -> None:
    text = (SOURCES / "interface.h").read_text()
    body = text.split("enum iodiff_kind {")[1].split("}")[0]
    names = [NAMES.get(name, name) for name in re.findall(r"IODIFF_(\w+)", body)]
    assert names == [kind.name for kind in Kind]
    assert "IODIFF_ADD = 1," in body


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Return what a C compiler makes of the interface: commands, sizes, places of fields."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is missing")
    fields = [name for name in device.RECORD.names or () if name != "unused"]
    wanted = [
        *COMMANDS,
        *(f"sizeof(struct {name})" for name in ("iodiff_record", *STRUCTURES)),
        *(f"offsetof(struct iodiff_record, {name})" for name in fields),
    ]
    for name, structure in STRUCTURES.items():
        wanted += [f"offsetof(struct {name}, {field[0]})" for field in structure._fields_]
    lines = "".join(f'\tprintf("%s\\t%lu\\n", "{what}", (unsigned long)({what}));\n' for what in wanted)
    folder = tmp_path_factory.mktemp("interface")
    source = folder / "interface.c"
    source.write_text(
        f'#include <stddef.h>\n#include <stdio.h>\n#include "{SOURCES}/interface.h"\n'
        f"int main(void)\n{{\n{lines}\treturn 0;\n}}\n"
    )
    program = folder / "interface"
    subprocess.run(["gcc", "-o", program, source], check=True)
    output = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    return {name: int(value) for name, value in (line.split("\t") for line in output.splitlines())}


def test_records_are_read_as_they_are_written(compiled: dict[str, int]) -> None:
    fields = device.RECORD.fields
    assert fields is not None
    assert compiled["sizeof(struct iodiff_record)"] == device.RECORD.itemsize
    for name in fields:
        if name != "unused":
            assert compiled[f"offsetof(struct iodiff_record, {name})"] == fields[name][1]


def test_requests_are_those_of_the_module(compiled: dict[str, int]) -> None:
    for name, structure in STRUCTURES.items():
        assert compiled[f"sizeof(struct {name})"] == ctypes.sizeof(structure)
        for field in structure._fields_:
            assert compiled[f"offsetof(struct {name}, {field[0]})"] == getattr(structure, field[0]).offset
    for name, number in COMMANDS.items():
        assert compiled[name] == number


def test_every_source_of_the_module_is_ours() -> None:
    for path in SOURCES.iterdir():
        assert "SPDX-License-Identifier: GPL-2.0-or-later" in path.read_text().splitlines()[0]


def test_the_device_stands_where_the_module_makes_it() -> None:
    name = re.search(r'\.name = "([\w-]+)"', (SOURCES / "main.c").read_text())
    assert name is not None
    assert Path("/dev", name[1]) == device.DEVICE
