# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases, one folder per seed system, and the tests that hold the harness to its word."""
