# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults in how reads of which several are under way are told apart, and in what they mean for each other."""

from __future__ import annotations

from functools import partial

from suites.direct_io.fault import Fault

__all__ = ["CONCURRENT_FAULTS"]

_Fault = partial(Fault, package="harness.direct_io")

_CALLS = (
    _Fault(
        "all-of-one-thread",
        "what a task does is of its own call",
        "calls",
        "zip(numbers, rows.pid[begun].tolist(), strict=True)",
        "zip(numbers, [int(rows.pid[begun[0]])] * len(begun), strict=True)",
    ),
    _Fault(
        "other-call-of-the-kiocb",
        "what ends is the latest call of its kiocb",
        "calls",
        "key=lambda call: call.begin) - 1",
        "key=lambda call: call.begin) - 2",
    ),
)

_CHAINS = (
    _Fault(
        "worker-reads-anew",
        "a worker goes on with what was tried without waiting",
        "chains",
        "    return True\n",
        "    return False\n",
    ),
)

_EACH_OTHER = (
    _Fault(
        "others-pages-not-there",
        "pages that others add meanwhile are found",
        "concurrent",
        "return self._there | (during - set(call.seen.pages))",
        "return set(self._there)",
    ),
    _Fault(
        "all-pages-have-arrived",
        "a read without waiting gets what has arrived of pages that others asked for",
        "concurrent",
        "bool(waited_for or (call.nowait and outcome.pages))",
        "bool(call.nowait and outcome.pages)",
    ),
    _Fault(
        "asks-behind-pages-on-their-way",
        "pages behind one that is on its way are not asked for",
        "concurrent",
        "return bool(nothing and outcome.pages and chain.observed(place) == -EAGAIN)",
        "return False",
    ),
    _Fault(
        "own-pages-there",
        "pages that a call adds it did not find",
        "concurrent",
        "return self._there | (during - set(call.seen.pages))",
        "return self._there | during",
    ),
    _Fault(
        "pages-stay",
        "pages that were taken out are not there",
        "concurrent",
        "self._there.discard(page)",
        "pass",
    ),
    _Fault(
        "maps-stay",
        "a map goes with the page with which it begins",
        "concurrent",
        "        self._reader.cache.drop()\n",
        "        pass\n",
    ),
    _Fault(
        "tried-again",
        "what is still under way is not tried again",
        "concurrent",
        "            direct = direct[:1]\n",
        "            pass\n",
    ),
    _Fault(
        "never-tried-again",
        "what the caller waits for is tried again",
        "concurrent",
        "if call.queued and len(call.seen.direct) == 1 and outcome.submitted and not _is_buffered(outcome):",
        "if True:",
    ),
    _Fault(
        "never-refused",
        "a block that another call reads is refused to one that must not wait",
        "concurrent",
        "if _was_refused(chain, place, outcome) and any(map(call.meets, others)):",
        "if False:",
    ),
    _Fault(
        "refused-only-while-called",
        "a read is under way until its bios have ended",
        "calls",
        "self.begin < other.under_way and other.begin < self.under_way",
        "self.begin < other.end and other.begin < self.end",
    ),
    _Fault(
        "waits",
        "a call with IOCB_NOWAIT does not wait",
        "concurrent",
        "outcome = self._reader.read(request, nowait=call.nowait)",
        "outcome = self._reader.read(request, nowait=False)",
    ),
    _Fault(
        "copy-of-another-thread",
        "the thread that submits chooses the copy, be it a worker",
        "concurrent",
        "Request(call.offset, chain.vectors(place), call.length, pid=call.tid)",
        "Request(call.offset, chain.vectors(place), call.length, pid=chain.first.tid)",
    ),
)

CONCURRENT_FAULTS: tuple[Fault, ...] = (*_CALLS, *_CHAINS, *_EACH_OTHER)
"""Every one of them."""
