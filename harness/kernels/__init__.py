# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels to run cases on: by name, by path, or from a Debian package."""

from __future__ import annotations

from harness.kernels.catalogue import catalogue, fetch, installed, remove, resolve
from harness.kernels.kernel import HOST, Kernel, module_missing, modules_folder
from harness.kernels.store import Entry

__all__ = [
    "HOST",
    "Entry",
    "Kernel",
    "catalogue",
    "fetch",
    "installed",
    "module_missing",
    "modules_folder",
    "remove",
    "resolve",
]
