# SPDX-License-Identifier: GPL-2.0-or-later
"""Holds a bundle's record against the reference models. Needs no root and no kernel."""
