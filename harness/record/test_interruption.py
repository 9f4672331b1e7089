# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import os
import signal

import pytest

from harness.record.interruption import Interrupted, interruptible, interruptions_held


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_waits_for_a_place_where_it_may_break_in(number: signal.Signals) -> None:
    done = []

    @interruptions_held()
    def run() -> None:
        send(number)
        done.append("made")
        with interruptible():
            done.append("interrupted too late")

    with pytest.raises(Interrupted) as caught:
        run()
    assert done == ["made"]
    assert caught.value.number == number


def test_a_signal_breaks_in_at_once_where_it_may() -> None:
    done = []

    @interruptions_held()
    @interruptible()
    def run() -> None:
        send(signal.SIGTERM)
        done.append("interrupted too late")

    with pytest.raises(Interrupted):
        run()
    assert done == []


def test_a_second_signal_does_not_disturb_the_undoing() -> None:
    undone = []

    @interruptions_held()
    def run() -> None:
        try:
            with interruptible():
                send(signal.SIGTERM)
        finally:
            send(signal.SIGINT)
            undone.append("undone")

    with pytest.raises(Interrupted) as caught:
        run()
    assert undone == ["undone"]
    assert caught.value.number == signal.SIGTERM


def test_a_signal_that_found_no_place_is_told_at_the_end() -> None:
    with pytest.raises(Interrupted), interruptions_held():
        send(signal.SIGINT)


def test_what_failed_because_of_the_signal_is_not_the_reason() -> None:
    @interruptions_held()
    def run() -> None:
        send(signal.SIGINT)
        raise OSError("a tool died of Ctrl-C")

    with pytest.raises(Interrupted):
        run()


def test_what_fails_in_the_undoing_is_told() -> None:
    """A run said that everything was gone, and had left a mount behind."""

    @interruptions_held()
    def run() -> None:
        try:
            with interruptible():
                send(signal.SIGTERM)
        finally:
            raise ValueError("left behind") from None

    with pytest.raises(ValueError, match="left behind"):
        run()


def test_without_a_signal_errors_are_errors_and_handlers_come_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with pytest.raises(OSError, match="broken"), interruptions_held(), interruptible():
        raise OSError("broken")
    assert before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]


def test_an_earlier_run_s_signal_is_forgotten() -> None:
    with pytest.raises(Interrupted), interruptions_held():
        send(signal.SIGINT)
    with interruptions_held(), interruptible():
        pass


def test_what_the_parent_had_us_ignore_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptions_held(), interruptible():
            send(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
