# SPDX-License-Identifier: GPL-2.0-or-later
"""The suite of bcache."""
