# SPDX-License-Identifier: GPL-2.0-or-later
"""The readahead engine and the walk in arrays and machine code, for trees of millions of blocks."""
