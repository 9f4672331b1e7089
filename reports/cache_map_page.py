# SPDX-License-Identifier: GPL-2.0-or-later
"""The picture of `iodiff bcache map --html`: a page of its own."""

from __future__ import annotations

from collections.abc import Sequence

from reports.cache_map import CacheMap, cache_map_plot
from reports.html import TEMPLATES, environment

__all__ = ["cache_map_page"]


def cache_map_page(name: str, maps: Sequence[CacheMap], remark: str) -> str:
    """Return a self-contained page about the cache device `name`, with what there is to know besides."""
    return (
        environment()
        .get_template("cache_map.html")
        .render(
            name=name,
            remark=remark,
            maps=[(found, cache_map_plot(found)) for found in maps],
            style=(TEMPLATES / "page.css").read_text(),
        )
    )
