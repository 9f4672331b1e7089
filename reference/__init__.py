# SPDX-License-Identifier: GPL-2.0-or-later
"""Pure models of kernel storage code: no I/O, no clock, no randomness of their own, no root."""
