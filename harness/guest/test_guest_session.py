# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases recorded in guests: what comes out, whole or not at all, and what a lost guest leaves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.bundle import Bundle, BundleWriter
from harness.cases import Case
from harness.errors import InfrastructureError
from harness.guest import session as session_module
from harness.guest.machine import GuestLostError
from harness.guest.session import CONSOLE_FILE, GuestSession, SessionPlan
from harness.guest.testing import FakeGuest, guest_plan
from harness.judge.verdict import judge_bundle
from harness.record.record import RecordPlan
from harness.verdicts import Verdict
from loopdevs import BtrfsLayout, RotationalLayout, Workspace, shrunk
from loopdevs.rotational.names import HURRIED

CASE = Case("test/first", "a case", frozenset(), BtrfsLayout(), lambda _experiment: None)

Session = Callable[..., GuestSession]
SIZE = 64 << 20


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """Return a function that makes a session of fake guests."""
    monkeypatch.setattr(session_module, "tool_versions", dict)

    def make(fake: FakeGuest, drives: tuple[int, ...] = ()) -> GuestSession:
        made = GuestSession(
            SessionPlan(replace(guest_plan(tmp_path), drives=drives), "bpf", boot_deadline_s=10),
            Workspace.create(tmp_path / "work"),
            threading.Lock(),
            lambda: None,
        )
        monkeypatch.setattr(made, "_start", fake)
        return made

    return make


def plan(tmp_path: Path, name: str = "first") -> RecordPlan:
    return RecordPlan(CASE, 7, "run", tmp_path / "out" / "test-6.0" / name)


def record(request: dict[str, Any]) -> dict[str, Any]:
    """Answer as the agent does, with a small bundle."""
    writer = BundleWriter(Path(request["folder"]))
    writer.add_text("dmesg.txt", "")
    return {"done": {"digest": writer.finish({"seed": request["seed"]}).manifest["digest"]}}


def test_a_bundle_comes_out_with_the_console_of_its_time(session: Session, tmp_path: Path) -> None:
    def reply(request: dict[str, Any]) -> dict[str, Any]:
        fake.print(f"[    5.000000] during {request['folder'].rsplit('/', 1)[1]}\n")
        return record(request)

    fake = FakeGuest(reply)
    with session(fake) as guests:
        for name in ("first", "second"):
            bundle = Bundle.open(guests.record(plan(tmp_path, name)).path)
            assert bundle.path == tmp_path / "out" / "test-6.0" / name
            assert bundle.text(CONSOLE_FILE) == f"[    5.000000] during {name}\n"
            assert bundle.manifest["seed"] == 7
            assert bundle.manifest["guest"]["accelerator"] == "kvm"
    assert fake.started == 1
    assert list((tmp_path / "exchange").iterdir()) == []


def test_its_disks_take_no_time_while_the_case_wants_it(session: Session, tmp_path: Path) -> None:
    answers = iter([False, True, False])
    seen: list[bool] = []

    def reply(request: dict[str, Any]) -> dict[str, Any]:
        seen.append(hurried.exists())
        if request["request"] == "record":
            requests.append(request)
        asks = next(answers, None)
        return record(requests[0]) if asks is None else {"asks": asks}

    requests: list[dict[str, Any]] = []
    layout = RotationalLayout(SIZE, shrunk(SIZE))
    with session(FakeGuest(reply)) as guests, guests.workspace.rotational_drive(layout) as disk:
        hurried = disk.socket.parent / HURRIED
        guests.disks = [disk]
        guests.record(plan(tmp_path))
        assert not hurried.exists(), "the next case begins in the disk's time"
    assert seen == [False, True, False, True]
    assert requests[0]["rotational"]


def test_a_bundle_that_is_not_what_the_guest_wrote_is_refused(session: Session, tmp_path: Path) -> None:
    def reply(request: dict[str, Any]) -> dict[str, Any]:
        record(request)
        return {"done": {"digest": "0" * 64}}

    with session(FakeGuest(reply)) as guests, pytest.raises(InfrastructureError, match="not the one"):
        guests.record(plan(tmp_path))
    assert not (tmp_path / "out").exists()


def test_a_guest_that_hangs_up_leaves_an_undecided_case(session: Session, tmp_path: Path) -> None:
    with session(FakeGuest(lambda _request: None)) as guests:
        bundle = Bundle.open(guests.record(plan(tmp_path)).path)
    verdict = judge_bundle(bundle)
    assert verdict.verdict is Verdict.UNDECIDED
    assert "lost guest test:6.0" in verdict.reasons[0]


def test_a_guest_whose_kernel_dies_fails_the_case_with_its_lines(session: Session, tmp_path: Path) -> None:
    def die(_request: dict[str, Any]) -> None:
        fake.print("[    8.000000] BUG: kernel NULL pointer dereference, address: 0000000000000000\n")
        fake.print("[    9.000000] Kernel panic - not syncing: Fatal exception\n")
        fake.print("[    9.000001] ---[ end Kernel panic - not syncing: Fatal exception ]---\n")

    fake = FakeGuest(die)
    with session(fake) as guests:
        verdict = judge_bundle(guests.record(plan(tmp_path)))
    assert verdict.verdict is Verdict.FAIL
    log = next(check for check in verdict.checks if check.name == "kernel log")
    assert log.first_difference is not None
    assert "NULL pointer dereference" in log.first_difference.summary
    assert log.wrong == 3


def test_a_guest_that_does_not_come_up_leaves_its_console(session: Session, tmp_path: Path) -> None:
    fake = FakeGuest(word="not the agreed one")
    with session(fake) as guests, pytest.raises(GuestLostError, match=r"console\.txt"):
        guests.record(plan(tmp_path))
    assert "Linux version" in (tmp_path / "out" / "test-6.0" / CONSOLE_FILE).read_text()


def test_after_a_lost_guest_the_next_case_gets_a_new_one(session: Session, tmp_path: Path) -> None:
    fake = FakeGuest(lambda request: record(request) if fake.started > 1 else None)
    with session(fake) as guests:
        assert guests.record(plan(tmp_path)).manifest["error"]
        assert "error" not in guests.record(plan(tmp_path, "second")).manifest
    assert fake.started == 2


@pytest.mark.parametrize(
    ("drives", "serials", "kind"),
    [((), [], "loop"), ((1 << 30, 1 << 30), ["iodiff-00", "iodiff-01"], "drive")],
)
def test_the_guest_is_told_its_drives_and_a_lost_one_had_them(
    session: Session, tmp_path: Path, drives: tuple[int, ...], serials: list[str], kind: str
) -> None:
    told: list[list[str]] = []

    def reply(request: dict[str, Any]) -> None:
        told.append(request["drives"])

    with session(FakeGuest(reply), drives) as guests:
        assert guests.record(plan(tmp_path)).manifest["devices"]["kind"] == kind
    assert told == [serials]


def test_what_a_lost_guest_had_begun_does_not_come_out(session: Session, tmp_path: Path) -> None:
    def begin(request: dict[str, Any]) -> None:
        BundleWriter(Path(request["folder"])).add_text("steps.json", "[]")

    with session(FakeGuest(begin)) as guests:
        guests.record(plan(tmp_path))
        assert list((tmp_path / "exchange").iterdir()) == []
