# SPDX-License-Identifier: GPL-2.0-or-later
"""bcache: its on-disk formats, and what its btree does with keys, nodes and buckets (docs/bcache.md)."""
