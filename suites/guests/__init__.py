# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests tested for real: booted, used, crashed, hung and interrupted."""
