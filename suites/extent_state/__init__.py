# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases for the extent-state tree (btrfs extent-io-tree)."""
