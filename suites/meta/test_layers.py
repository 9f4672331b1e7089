# SPDX-License-Identifier: GPL-2.0-or-later
"""No file imports what its layer may not, and the check sees those that would."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from suites.meta.layers import LAYERS, complaints
from suites.meta.tree import ROOT, files


def test_every_file_keeps_to_its_layer() -> None:
    sources = [path for path in files(ROOT) if path.suffix == ".py" and path.parts[0] in LAYERS]
    assert len(sources) > 10
    assert [line for path in sources for line in complaints(path, (ROOT / path).read_text())] == []


@pytest.mark.parametrize(
    ("path", "source", "module"),
    [
        ("reference/x.py", "import harness.bundle", "harness.bundle"),
        ("reference/x.py", "import loopdevs", "loopdevs"),
        ("reference/x.py", "import random", "random"),
        ("reference/x.py", "from os import path", "os.path"),
        ("reference/x.py", "import pandas", "pandas"),
        ("reference/a/x.py", "def f():\n    import time", "time"),
        ("loopdevs/x.py", "from harness import errors", "harness.errors"),
        ("loopdevs/x.py", "from reference.extent_state import bits", "reference.extent_state.bits"),
        ("harness/x.py", "import suites.extent_state", "suites.extent_state"),
        ("harness/x.py", "from reports import html", "reports.html"),
        ("harness/x.py", "from harness.cli import main", "harness.cli.main"),
        ("harness/a/x.py", "from .. import cli", "harness.cli"),
        ("reports/x.py", "from harness.capture import ring", "harness.capture.ring"),
        ("reports/x.py", "import harness", "harness"),
        ("reports/test_x.py", "import loopdevs", "loopdevs"),
    ],
)
def test_an_import_out_of_bounds_is_seen(path: str, source: str, module: str) -> None:
    (line,) = complaints(PurePosixPath(path), source)
    assert line.startswith(f"{path}: ")
    assert line.endswith(f" {module}")


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("reference/x.py", "import numpy.typing\nfrom sortedcontainers import SortedDict\nimport bisect"),
        ("reference/test_x.py", "import random\nimport hypothesis\nfrom reference import x"),
        ("loopdevs/x.py", "import os\nfrom loopdevs.errors import LoopdevsError\nfrom . import loop"),
        ("harness/x.py", "import loopdevs, reference\nfrom harness import climate\nfrom . import bundle"),
        ("reports/x.py", "from harness.bundle import Bundle\nfrom harness import verdicts"),
        ("harness/cli/x.py", "import suites, reports, harness.cli.app"),
        ("harness/__main__.py", "from harness.cli import main"),
        ("suites/x.py", "import harness.cli"),
        ("conftest.py", "import suites"),
    ],
)
def test_an_import_in_bounds_is_left_alone(path: str, source: str) -> None:
    assert complaints(PurePosixPath(path), source) == []
