# SPDX-License-Identifier: GPL-2.0-or-later
"""The page cache of Linux 2.6.22 as far as the extent code of 2007 sees it: see docs/page-cache-2007.md.

Pages and their flags, the pages of a file, bios and a disk that completes them when the test says so, blocks
of an ext2-like file, and what the system calls do with all that. What a file system does with a page is its
`AddressSpaceOperations`; the extent code's are in `reference/extent_map/`.
"""
