# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest's line to the host: what counts as an answer, and what as a lost guest."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import InfrastructureError, UserError
from harness.guest import machine
from harness.guest.machine import Guest, GuestLostError
from harness.guest.testing import RELEASE, FakeGuest, Reply, guest_plan


def go_on() -> None:
    """Let a guest wait as long as its deadline."""


def boot(tmp_path: Path, fake: FakeGuest, boot_s: float = 10.0) -> Guest:
    return Guest(guest_plan(tmp_path), tmp_path, fake, boot_s, go_on)


def test_a_guest_greets_and_answers(tmp_path: Path) -> None:
    fake = FakeGuest(lambda request: {"done": {"heard": request}})
    with boot(tmp_path, fake) as guest:
        assert guest.hello["release"] == RELEASE
        assert guest.call("run", 10, command=["true"]) == {"heard": {"request": "run", "command": ["true"]}}


def test_what_it_asks_is_done_before_it_goes_on(tmp_path: Path) -> None:
    done: list[object] = []

    def reply(request: dict[str, Any]) -> dict[str, Any]:
        heard.append((request["request"], len(done)))
        return {"asks": len(done)} if len(done) < 2 else {"done": {"asked": len(done)}}

    heard: list[tuple[str, int]] = []
    with boot(tmp_path, FakeGuest(reply)) as guest:
        assert guest.call("record", 10, done.append) == {"asked": 2}
    assert done == [0, 1]
    assert heard == [("record", 0), ("go on", 1), ("go on", 2)]


def test_its_process_is_gone_when_it_is_closed(tmp_path: Path) -> None:
    with boot(tmp_path, FakeGuest()) as guest:
        assert guest.alive
    assert not guest.alive


def with_drives(tmp_path: Path, reply: Reply) -> Guest:
    plan = replace(guest_plan(tmp_path), drives=(4 << 40, 1 << 30))
    return Guest(plan, tmp_path, FakeGuest(reply), 10.0, go_on)


def test_its_drives_are_sparse_and_go_with_it(tmp_path: Path) -> None:
    with with_drives(tmp_path, lambda _request: {"done": {}}):
        found = {file.name: file.stat() for file in tmp_path.glob("iodiff-*")}
        assert {name: status.st_size for name, status in found.items()} == {
            "iodiff-00": 4 << 40,
            "iodiff-01": 1 << 30,
        }
        assert not any(status.st_blocks for status in found.values())
    assert list(tmp_path.glob("iodiff-*")) == []


def test_drives_that_no_file_system_holds_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    plan = replace(guest_plan(tmp_path), drives=(1 << 30, 1 << 62))
    fake = FakeGuest()
    with pytest.raises(UserError, match=r"no drive of .* MiB can be made \(File too large\): give a --work"):
        Guest(plan, tmp_path, fake, 10.0, go_on)
    assert [file.name for file in tmp_path.iterdir()] == ["exchange"]
    assert fake.started == 0


def test_a_host_that_runs_full_is_named_before_the_guest_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(_request: dict[str, Any]) -> dict[str, Any]:
        monkeypatch.setattr(machine, "FULL_BYTES", 1 << 62)
        time.sleep(5)
        return {"done": {}}

    with (
        with_drives(tmp_path, fill) as guest,
        pytest.raises(UserError, match=r"the space for the guest's drives ran out: .* MiB free"),
    ):
        guest.call("record", 10)


@pytest.mark.parametrize("kind", ["infrastructure", "bug"])
def test_what_failed_in_the_guest_fails_here(tmp_path: Path, kind: str) -> None:
    fake = FakeGuest(lambda _request: {"failed": kind, "reason": "mkfs died"})
    with boot(tmp_path, fake) as guest, pytest.raises(InfrastructureError, match="in the guest: mkfs died"):
        guest.call("record", 10)


def test_what_the_guest_lacks_is_for_the_user_to_mend(tmp_path: Path) -> None:
    fake = FakeGuest(lambda _request: {"failed": "environment", "reason": "no space"})
    with boot(tmp_path, fake) as guest, pytest.raises(UserError, match=r"test:6\.0: no space"):
        guest.call("record", 10)


def test_one_that_never_boots_is_lost_at_the_deadline_and_ended(tmp_path: Path) -> None:
    fake = FakeGuest(says_hello=False)
    with pytest.raises(GuestLostError, match="no word from the guest within 1 s, during boot"):
        boot(tmp_path, fake, boot_s=1.0)


def test_one_that_does_not_answer_is_lost_at_the_deadline(tmp_path: Path) -> None:
    asked, let_go = threading.Event(), threading.Event()

    def be_silent(_request: dict[str, Any]) -> None:
        asked.set()
        let_go.wait(60)

    with boot(tmp_path, FakeGuest(be_silent)) as guest:
        with pytest.raises(GuestLostError, match="within 1 s, during record"):
            guest.call("record", 1.0)
        assert asked.is_set()
        let_go.set()


def test_one_that_hangs_up_is_lost_with_its_last_words(tmp_path: Path) -> None:
    def die(_request: dict[str, Any]) -> None:
        fake.print("[    9.000000] Kernel panic - not syncing: sysrq triggered crash\n")

    fake = FakeGuest(die)
    with (
        boot(tmp_path, fake) as guest,
        pytest.raises(GuestLostError, match=r"hung up.*Kernel panic"),
    ):
        guest.call("record", 10)


def test_one_that_cannot_say_the_word_is_not_believed(tmp_path: Path) -> None:
    with pytest.raises(GuestLostError, match="somebody else spoke"):
        boot(tmp_path, FakeGuest(word="guessed"))


def test_a_guest_whose_machine_ends_is_lost_at_once(tmp_path: Path) -> None:
    let_go = threading.Event()

    def end(_request: dict[str, Any]) -> None:
        os.kill(guest._process.pid, signal.SIGKILL)
        let_go.wait(60)

    with boot(tmp_path, FakeGuest(end)) as guest:
        with pytest.raises(GuestLostError, match="ended by itself"):
            guest.call("record", 60)
        let_go.set()


def test_waiting_can_be_given_up(tmp_path: Path) -> None:
    class GaveUpError(BaseException):
        pass

    def give_up() -> None:
        raise GaveUpError

    with pytest.raises(GaveUpError):
        Guest(guest_plan(tmp_path), tmp_path, FakeGuest(says_hello=False), 60, give_up)


def test_the_console_is_told_from_a_position_on(tmp_path: Path) -> None:
    fake = FakeGuest()
    with boot(tmp_path, fake) as guest:
        position = guest.console.position
        fake.print("[    2.000000] later\r\n")
        assert guest.console.since(position) == "[    2.000000] later\n"
