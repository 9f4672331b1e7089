# SPDX-License-Identifier: GPL-2.0-or-later
"""What holds for every file of the project: rules, each a function from a file to complaints.

Words that must not stand anywhere are put together from parts here, or this file would break its own rule.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

__all__ = [
    "ROOT",
    "all_lists",
    "bundle_sizes",
    "files",
    "headers",
    "hosts",
    "is_code",
    "lengths",
    "local_paths",
    "names",
    "postponed",
    "read",
]

ROOT = Path(__file__).resolve().parents[2]
MAXIMUM_LINES = 500
MAXIMUM_BUNDLE_BYTES = 500_000
SPDX = "SPDX-License-Identifier: GPL-2.0-or-later"
POSTPONED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
LOCAL_PATH = re.compile(r"(?<![\w./}*~-])/(?:" + "|".join(("work", "tmp/wt", "root", "home")) + r")/\w")
REGISTRIES = ("py" + "pi.org", "python" + "hosted.org", "npm" + "js.org", "crates" + ".io")
INDEX_OPTION = re.compile(r"^\s*(--(extra-)?index-url|--find-links|-i|-f)\b", re.MULTILINE)


def files(root: Path) -> list[PurePosixPath]:
    """Return the files below `root` that .gitignore does not name, as paths below `root`.

    Not asked of git: an archive has none, and git refuses to answer in somebody else's checkout.
    """
    ignored = [".git", *(line.rstrip("/") for line in (root / ".gitignore").read_text().split())]
    return sorted(PurePosixPath(path.relative_to(root)) for path in _walk(root, ignored))


def _walk(folder: Path, ignored: list[str]) -> Iterator[Path]:
    for path in folder.iterdir():
        if any(fnmatch(path.name, pattern) for pattern in ignored):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path, ignored)
        else:
            yield path


def read(path: Path) -> str:
    """Return the text of a file, nothing for one that holds none (recorded tables)."""
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""


def is_code(path: PurePosixPath) -> bool:
    """Whether people write the file for machines to run."""
    return path.suffix in (".py", ".c", ".h", ".sh") or str(path) in ("iodiff", ".ci/run")


def headers(path: PurePosixPath, text: str) -> list[str]:
    """Code names its licence in the first line, or the second after `#!`."""
    first = next((line for line in text.splitlines() if not line.startswith("#!")), "")
    return [] if not is_code(path) or SPDX in first else [f"{path}: no SPDX line at the top"]


def lengths(path: PurePosixPath, text: str) -> list[str]:
    """Code files stay under MAXIMUM_LINES lines."""
    count = len(text.splitlines())
    return [f"{path}: {count} lines"] if is_code(path) and count >= MAXIMUM_LINES else []


def postponed(path: PurePosixPath, text: str) -> list[str]:
    """Nothing is left for later in a comment."""
    return [f"{path}: {word}" for word in POSTPONED.findall(text)] if is_code(path) else []


def local_paths(path: PurePosixPath, text: str) -> list[str]:
    """No path of one person's machine."""
    return [f"{path}: {found[0]}" for found in LOCAL_PATH.finditer(text)]


def hosts(path: PurePosixPath, text: str, configured: frozenset[str] = frozenset()) -> list[str]:
    """No host of a package registry, well known or `configured` here, and no index option."""
    found = [host for host in {*REGISTRIES, *configured} if host in text]
    if path.name.startswith("requirements"):
        found += [option[0].strip() for option in INDEX_OPTION.finditer(text)]
        found += ["a URL"] if "://" in text else []
    return [f"{path}: {what}" for what in found]


def names(path: PurePosixPath, _text: str) -> list[str]:
    """One lock file, of no particular tool."""
    return [f"{path}: requirements.lock is the lock file"] if path.name == "uv" + ".lock" else []


def all_lists(path: PurePosixPath, text: str) -> list[str]:
    """Every public module with something in it says what is public."""
    if path.suffix != ".py" or path.name.startswith(("test_", "_")) or path.name == "conftest.py":
        return _package_list(path, text) if path.name == "__init__.py" else []
    return [] if _defines_all(text) else [f"{path}: no __all__"]


def _package_list(path: PurePosixPath, text: str) -> list[str]:
    body = ast.parse(text).body
    only_words = all(isinstance(node, ast.Expr) or _is_future(node) for node in body)
    return [] if only_words or _defines_all(text) else [f"{path}: no __all__"]


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _defines_all(text: str) -> bool:
    assigned = [node for node in ast.parse(text).body if isinstance(node, ast.Assign)]
    return any(isinstance(t, ast.Name) and t.id == "__all__" for node in assigned for t in node.targets)


def bundle_sizes(data: Path) -> list[str]:
    """Each bundle kept in the tree stays under MAXIMUM_BUNDLE_BYTES."""
    sizes = {
        manifest.parent: sum(p.stat().st_size for p in manifest.parent.rglob("*") if p.is_file())
        for manifest in sorted(data.rglob("bundle.json"))
    }
    return [f"{path.name}: {size} bytes" for path, size in sizes.items() if size >= MAXIMUM_BUNDLE_BYTES]
