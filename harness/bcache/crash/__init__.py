# SPDX-License-Identifier: GPL-2.0-or-later
"""Losses of power under a bcache set at work: what disks may hold then, and what the kernel makes of it."""
