# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for every test run: live tests say why they skip and leave nothing; testing nothing is a failure.

IODIFF_FORCE_LIVE=1 turns the skips into failures, for machines that are known to be able.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path

import pytest

import loopdevs
import loopdevs.leftovers
from suites.meta import leftovers

EXECUTED = pytest.StashKey[int]()
TEMPORARY = pytest.StashKey[str]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.stash[EXECUTED] = 0
    # Not pytest's own default: /tmp may be memory, and there any later pytest deletes what it finds of
    # earlier ones, mounted file systems included.
    if not config.option.basetemp:
        config.option.basetemp = config.stash[TEMPORARY] = tempfile.mkdtemp(
            prefix="iodiff-test-", dir="/var/tmp"
        )


def pytest_unconfigure(config: pytest.Config) -> None:
    folder = config.stash.get(TEMPORARY, None)
    if folder and not loopdevs.leftovers.kernel_leftovers(Path(folder)):
        shutil.rmtree(folder)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("live") is None or not (reasons := _live_skip_reasons()):
        return
    why = "; ".join(reasons)
    if os.environ.get("IODIFF_FORCE_LIVE") == "1":
        pytest.fail(f"IODIFF_FORCE_LIVE=1, but this machine cannot run live tests: {why}", pytrace=False)
    pytest.skip(f"live: {why}")


@pytest.fixture(autouse=True)
def _nothing_left(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fail a live test after which the kernel holds something of ours that it did not hold before."""
    if request.node.get_closest_marker("live") is None:
        yield
        return
    base = tmp_path_factory.getbasetemp()
    before = leftovers.held(base)
    yield
    left = leftovers.held(base) - before
    assert not left, f"left behind: {', '.join(sorted(left))}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.config.stash[EXECUTED] += report.when == "call" and report.outcome != "skipped"
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if (
        exitstatus == pytest.ExitCode.OK
        and not session.config.stash[EXECUTED]
        and not _only_collecting(session)
    ):
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not config.stash[EXECUTED] and not config.option.collectonly:
        terminalreporter.write_line("no test was executed: that is a failure", red=True)


def _only_collecting(session: pytest.Session) -> bool:
    return bool(session.config.option.collectonly)


@cache
def _live_skip_reasons() -> list[str]:
    return loopdevs.live_skip_reasons()
