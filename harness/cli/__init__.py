# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line, which ties all layers together."""

from __future__ import annotations

from harness.cli.app import main

__all__ = ["main"]
