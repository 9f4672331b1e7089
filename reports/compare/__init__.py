# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs, or kernels of runs, held against each other: what they found first, then how fast they were."""

from __future__ import annotations

from reports.compare.comparison import Comparison, compare
from reports.compare.document import html, json_text, markdown
from reports.compare.sides import Side, sides_of
from reports.compare.terminal import print_comparison

__all__ = ["Comparison", "Side", "compare", "html", "json_text", "markdown", "print_comparison", "sides_of"]
