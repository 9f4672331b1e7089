# SPDX-License-Identifier: GPL-2.0-or-later
"""Foreign strings in Markdown: one line each, and nothing in them is obeyed."""

from __future__ import annotations

import re

from reports.text import printable

__all__ = ["code", "text"]


def text(foreign: str) -> str:
    """Return it as plain text."""
    line = " ".join(printable(foreign).split())
    return re.sub(r"([\\`*\[\]|#])", r"\\\1", line).replace("&", "&amp;").replace("<", "&lt;")


def code(foreign: str) -> str:
    """Return it as a span of code; a dash when there is nothing in it."""
    line = " ".join(printable(foreign).split()).replace("`", "'").replace("|", "\\|")
    return f"`{line}`" if line else "-"
