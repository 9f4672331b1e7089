# SPDX-License-Identifier: GPL-2.0-or-later
"""Page flags that follow from the states of the page's bytes (fs/extent_map.c of July 2007)."""

from __future__ import annotations

from reference.extent_map.bits import EXTENT_LOCKED, EXTENT_UPTODATE, EXTENT_WRITEBACK
from reference.extent_map.page_io import ExtentIo, page_end
from reference.machine import Steps, note
from reference.page_cache.page import Page, end_page_writeback, unlock_page

__all__ = ["check_page_locked", "check_page_uptodate", "check_page_writeback"]


def check_page_uptodate(io: ExtentIo, page: Page) -> Steps[None]:
    """Set PG_uptodate if each byte is EXTENT_UPTODATE."""
    start = io.start_of(page)
    if (yield from io.tree.test_range_bit(start, page_end(start), EXTENT_UPTODATE, True)):
        page.uptodate = True
        note(f"SetPageUptodate({page.index})")


def check_page_locked(io: ExtentIo, page: Page) -> Steps[None]:
    """Unlock the page if no byte is EXTENT_LOCKED."""
    start = io.start_of(page)
    if not (yield from io.tree.test_range_bit(start, page_end(start), EXTENT_LOCKED, False)):
        unlock_page(page)


def check_page_writeback(io: ExtentIo, page: Page) -> Steps[None]:
    """End the page's writeback if no byte is EXTENT_WRITEBACK."""
    start = io.start_of(page)
    if not (yield from io.tree.test_range_bit(start, page_end(start), EXTENT_WRITEBACK, False)):
        end_page_writeback(page)
