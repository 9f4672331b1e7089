# SPDX-License-Identifier: GPL-2.0-or-later
"""A fault that is put into the readahead engine: one expression or line of `reference/readahead`."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Fault"]


@dataclass(frozen=True)
class Fault:
    """A mistake that somebody could make. It is stale if `old` is not there exactly once."""

    name: str
    what: str
    """What is wrong, in a few words."""
    module: str
    """Module of `reference.readahead`."""
    old: str
    new: str
