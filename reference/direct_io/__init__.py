# SPDX-License-Identifier: GPL-2.0-or-later
"""Direct reads of btrfs files: models, an oracle, and cases for them. See docs/direct-io.md."""
