# SPDX-License-Identifier: GPL-2.0-or-later
"""Drives the real kernel, records what it did, and holds the record against the models."""
