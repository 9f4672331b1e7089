# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a case on real devices under capture and leaves a bundle. Needs root and the kernel under test."""
