# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes all report files of a run, each of them whole or not at all."""

from __future__ import annotations

from pathlib import Path

from harness.bundle import MANIFEST
from harness.errors import UserError
from reports.check_log import check_log
from reports.html import html
from reports.junit import junit_xml
from reports.markdown import markdown
from reports.results import results
from reports.run import Run
from reports.summary import summary_json
from reports.totals import add_up

__all__ = ["write", "write_all"]


def write_all(run: Run, out: Path) -> list[Path]:
    """Write `summary.json`, `junit.xml`, `results.csv`, `check.log` and the reports; return their paths.

    `out` is created if need be; files of an earlier report are replaced. UserError when that fails, or when
    `out` is a bundle: a bundle with additional files would no longer be accepted.
    """
    if (out / MANIFEST).exists():
        raise UserError(f"{out}: is a bundle, which must not change: give another folder for the report")
    totals = add_up(run.cases)
    contents = {
        "summary.json": summary_json(run),
        "junit.xml": junit_xml(run),
        "results.csv": results(run).to_csv(index=False),
        "check.log": check_log(run),
        "report.md": markdown(run, totals),
        "report.html": html(run, totals),
    }
    return [write(out / name, content) for name, content in contents.items()]


def write(path: Path, content: str) -> Path:
    """Write a file whole or not at all, with the folders above it; return its path. UserError on failure."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(content, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        if path.parent.is_dir():
            temporary.unlink(missing_ok=True)
        raise UserError(
            f"{path}: {error.strerror}: make room or give another folder for the report"
        ) from None
    return path
