# SPDX-License-Identifier: GPL-2.0-or-later
"""A schedule in a few lines: one for each time that another task or interrupt goes on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

from reference.machine import Found, Scenario, render, story

__all__ = ["in_brief", "rendered"]

_DETAIL = re.compile(
    r"(read|write)_(un)?lock_irq\(|(free|goes on to|runs|SetPageUptodate|prepare_to_wait)\b|steps\(|\*\*\*"
    r"|wake_up\(.*nobody waits"
)
"""What `render` says and this leaves out."""
_END = re.compile(r"(waits:|ends$)")


def in_brief(scenario: Scenario, found: Found) -> list[str]:
    """Return a line for each of the schedule's blocks of steps: what the task called first and last.

    Blocks of which there is nothing to say are left out.
    """
    told = ((name, [text for _, text in lines]) for name, lines in _blocks(story(scenario, found)))
    said = ((name, _summary(texts)) for name, texts in told)
    return [f"{name}: {text}" for name, text in said if text]


def rendered(scenario: Scenario, found: Found) -> list[str]:
    """Return the schedule in columns, without the finding above it."""
    return render(scenario, found).splitlines()[1:]


def _blocks(lines: Iterable[tuple[str, str]]) -> Iterable[tuple[str, Iterable[tuple[str, str]]]]:
    return groupby(lines, key=lambda line: line[0])


def _summary(texts: Sequence[str]) -> str:
    stripped = [text.strip() for text in texts]
    doings = [text for text in stripped if not _DETAIL.match(text) and not _END.match(text)]
    words = [" .. ".join(dict.fromkeys([*doings[:1], *doings[-1:]]))] if doings else []
    words += [text for text in stripped[-1:] if _END.match(text)]
    return ", ".join(words)
