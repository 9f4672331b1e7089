# SPDX-License-Identifier: GPL-2.0-or-later
"""The only code that creates, formats, mounts, corrupts or removes devices; the journal of what exists."""
