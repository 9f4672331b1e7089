# SPDX-License-Identifier: GPL-2.0-or-later
"""Direct reads that are made and recorded: what was asked for, what the kernel did, and what lies where."""
