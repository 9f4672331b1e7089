# SPDX-License-Identifier: GPL-2.0-or-later
"""Records of the kernel's readahead engine: what its probes saw, and the trees that it worked on."""
