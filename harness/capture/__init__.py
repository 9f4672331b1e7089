# SPDX-License-Identifier: GPL-2.0-or-later
"""Records what the kernel's extent-io-tree does, in total order, and dumps the real trees."""
