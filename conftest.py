# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for every test run: live tests say why they skip and leave nothing; testing nothing is a failure.

IODIFF_FORCE_LIVE=1 turns the skips into failures, for machines that are known to be able. Guest tests are
live tests that need more of the kernel, theirs is IODIFF_FORCE_GUEST=1; those that need FUSE have
IODIFF_FORCE_FUSE=1, those that boot guests IODIFF_FORCE_BOOTS=1.
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
from harness.compiled import keep_compiled
from harness.doctor import missing_for_guests
from suites.meta import leftovers

GUEST_BYTES = 4 << 30
KERNEL_MARKERS = {
    "live": loopdevs.live_skip_reasons,
    "guest": loopdevs.guest_skip_reasons,
    "fuse": loopdevs.fuse_skip_reasons,
    "boots": lambda: missing_for_guests(GUEST_BYTES),
}
"""The markers of tests that need something of a kernel, with what finds out what is missing."""
TIDY_MARKERS = ("live", "guest", "fuse")
"""The markers of tests of which each is seen to leave nothing; those that boot guests share one."""
EXECUTED = pytest.StashKey[int]()
TEMPORARY = pytest.StashKey[str]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.stash[EXECUTED] = 0
    keep_compiled()
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
    for marker in KERNEL_MARKERS:
        if item.get_closest_marker(marker) is None or not (reasons := _skip_reasons(marker)):
            continue
        why = "; ".join(reasons)
        force = f"IODIFF_FORCE_{marker.upper()}"
        if os.environ.get(force) == "1":
            pytest.fail(f"{force}=1, but this machine cannot run {marker} tests: {why}", pytrace=False)
        pytest.skip(f"{marker}: {why}")


@pytest.fixture(autouse=True)
def _nothing_left(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fail a live or guest test after which the kernel holds something of ours that it had not before."""
    if not any(request.node.get_closest_marker(marker) for marker in TIDY_MARKERS):
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
def _skip_reasons(marker: str) -> list[str]:
    return KERNEL_MARKERS[marker]()
