# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices that take as long as a disk of `reference.disks`, in real time (docs/devices.md)."""
