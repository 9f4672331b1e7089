# SPDX-License-Identifier: GPL-2.0-or-later
"""`python -m harness` is `iodiff`."""

from __future__ import annotations

from harness.cli import main

main()
