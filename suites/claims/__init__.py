# SPDX-License-Identifier: GPL-2.0-or-later
"""Published claims about the modelled designs, each with what was measured of it: see docs/claims.md."""
