# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading a bcache cache device offline, and checking all that it says of itself (docs/bcache.md)."""
