# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases recorded in virtual machines that boot other kernels (virtme-ng and QEMU)."""
