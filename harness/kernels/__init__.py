# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels to run cases on: by name, by path, or from a Debian package."""

from __future__ import annotations

from harness.kernels.catalogue import catalogue, resolve
from harness.kernels.kernel import HOST, Kernel, module_missing, modules_folder

__all__ = ["HOST", "Kernel", "catalogue", "module_missing", "modules_folder", "resolve"]
