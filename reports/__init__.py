# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads bundles and verdicts; writes terminal, JSON, JUnit, Markdown and HTML reports."""
