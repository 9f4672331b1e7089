# SPDX-License-Identifier: GPL-2.0-or-later
"""Facts about the machine, with the machine partly pretended."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import platform
from pathlib import Path

import pytest

from harness.record import host
from harness.record.host import kernel_facts, machine_facts, tool_versions


def test_facts_can_be_stored() -> None:
    facts = {"kernel": kernel_facts(), "machine": machine_facts(), "tools": tool_versions()}
    assert json.loads(json.dumps(facts)) == facts


def test_the_kernel_is_the_running_one() -> None:
    facts = kernel_facts()
    assert facts["release"] == os.uname().release
    assert facts["version"] == os.uname().version
    assert facts["config_sha256"] is None or len(facts["config_sha256"]) == 64


def test_the_machine_is_this_one() -> None:
    facts = machine_facts()
    assert facts["arch"] == platform.machine()
    assert facts["cpus"] == os.cpu_count()
    total = int(Path("/proc/meminfo").read_text().split()[1]) << 10
    assert facts["memory_bytes"] == total


def test_tools_tell_their_first_line_and_missing_ones_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, script in {"fio": "echo fio-3.33", "btrfs": "echo v6.2; echo more", "other": "echo no"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    python = platform.python_version()
    assert tool_versions() == {"python": python, "fio": "fio-3.33", "btrfs-progs": "v6.2"}


def test_a_tool_that_says_nothing_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clang").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "clang").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tool_versions()["clang"] == "unknown"


def test_a_tool_that_takes_too_long_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clang").write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    (tmp_path / "clang").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(host, "VERSION_S", 0.05)
    assert tool_versions()["clang"] == "unknown"


def test_the_configuration_has_one_digest_however_it_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"CONFIG_BTRFS_FS=y\n"
    stored = {"/proc/config.gz": gzip.compress(text), "/boot/config-6.18": text}
    monkeypatch.setattr(Path, "read_bytes", lambda self: stored[str(self)])
    for name in stored:
        monkeypatch.setattr(Path, "exists", lambda self, name=name: str(self) == name)
        assert host._config_digest("6.18") == hashlib.sha256(text).hexdigest()
    monkeypatch.setattr(Path, "exists", lambda _self: False)
    assert host._config_digest("6.18") is None
