# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules of `suites.meta.tree` hold for every file, and each sees what breaks it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import pytest

from suites.meta import tree

Rule = Callable[[PurePosixPath, str], list[str]]

RULES: list[Rule] = [
    tree.headers,
    tree.lengths,
    tree.postponed,
    tree.local_paths,
    tree.hosts,
    tree.names,
    tree.all_lists,
]
HEADER = f"# {tree.SPDX}\n"


@pytest.mark.parametrize("rule", RULES)
def test_every_file_keeps_the_rule(rule: Rule) -> None:
    found = tree.files(tree.ROOT)
    assert {PurePosixPath("iodiff"), PurePosixPath("harness/bundle.py")} <= set(found)
    assert [line for path in found for line in rule(path, tree.read(tree.ROOT / path))] == []


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (tree.headers, "a.py", "import os\n"),
        (tree.headers, "iodiff", "#!/bin/sh\nset -e\n"),
        (tree.headers, "a.c", ""),
        (tree.lengths, "a.py", "\n" * tree.MAXIMUM_LINES),
        (tree.postponed, "a.py", "# TO" + "DO: later"),
        (tree.postponed, "a.c", "// XX" + "X"),
        (tree.local_paths, "a.md", "see /" + "work/shared"),
        (tree.local_paths, "bundle.json", '"/' + 'root/results"'),
        (tree.local_paths, "a.py", 'Path("/' + 'home/me/x")'),
        (tree.hosts, "a.md", "from https://" + tree.REGISTRIES[0]),
        (tree.hosts, "requirements.lock", "--index-url x"),
        (tree.hosts, "requirements.lock", "-i x"),
        (tree.hosts, "requirements.lock", "a @ https://example.org/a.whl"),
        (tree.names, "uv" + ".lock", ""),
        (tree.all_lists, "a.py", "x = 1"),
        (tree.all_lists, "__init__.py", "from a import b"),
    ],
)
def test_what_breaks_a_rule_is_seen(rule: Rule, path: str, text: str) -> None:
    assert rule(PurePosixPath(path), text)


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (tree.headers, "iodiff", "#!/bin/sh\n" + HEADER),
        (tree.headers, "README.md", "# words"),
        (tree.lengths, "a.py", "\n" * (tree.MAXIMUM_LINES - 1)),
        (tree.postponed, "a.py", "mastodon = hackney"),
        (tree.local_paths, "a.py", "folder / 'work/x', '/var/tmp/iodiff', '/root'"),
        (tree.hosts, "requirements.lock", "a==1 --hash=sha256:0"),
        (tree.all_lists, "a.py", '__all__ = ["x"]\nx = 1'),
        (tree.all_lists, "__init__.py", '"""Words."""\nfrom __future__ import annotations'),
        (tree.all_lists, "test_a.py", "x = 1"),
    ],
)
def test_what_keeps_a_rule_is_left_alone(rule: Rule, path: str, text: str) -> None:
    assert rule(PurePosixPath(path), text) == []


def test_no_registry_of_this_machine_is_named() -> None:
    configured = _configured_hosts()
    named = [
        line
        for path in tree.files(tree.ROOT)
        for line in tree.hosts(path, tree.read(tree.ROOT / path), configured)
    ]
    assert named == []


def test_a_registry_of_this_machine_would_be_seen() -> None:
    assert tree.hosts(PurePosixPath("a.md"), "at wheels.example:80", frozenset({"wheels.example"}))


def test_the_lock_file_pins_everything_by_hash() -> None:
    requirements = re.split(r"\n(?! )", (tree.ROOT / "requirements.lock").read_text().strip())
    assert len(requirements) > 20
    loose = [r for r in requirements if not re.match(r"[\w.-]+==\S+ .*--hash=sha256:", r, re.DOTALL)]
    assert loose == []


def test_ignored_files_are_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text(".venv/\n*.pyc\n")
    for name in (".venv/a.py", "b.pyc", "sub/c.py", ".git/d"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [str(path) for path in tree.files(tmp_path)] == [".gitignore", "sub/c.py"]


def test_recorded_bundles_are_small() -> None:
    assert tree.bundle_sizes(tree.ROOT / "suites" / "data") == []


def test_a_big_bundle_is_seen(tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "bundle.json").touch()
    (tmp_path / "big" / "events.npz").write_bytes(bytes(tree.MAXIMUM_BUNDLE_BYTES))
    assert tree.bundle_sizes(tmp_path) == [f"big: {tree.MAXIMUM_BUNDLE_BYTES} bytes"]


def _configured_hosts() -> frozenset[str]:
    pip = [sys.executable, "-m", "pip", "config", "list"]
    # Without pip (a virtual environment made by other means) the environment is all that is configured.
    settings = subprocess.run(pip, capture_output=True, text=True, check=False).stdout
    settings += " ".join(value for key, value in os.environ.items() if key.startswith(("PIP_", "UV_")))
    urls = re.findall(r"https?://[^\s'\"]+", settings)
    return frozenset(host for url in urls if (host := urlsplit(url).hostname))
