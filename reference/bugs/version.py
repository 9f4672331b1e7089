# SPDX-License-Identifier: GPL-2.0-or-later
"""Both halves of a version of the patch, and the one defect of it that is switched on."""

from __future__ import annotations

from typing import Literal, NamedTuple

from reference.extent_map import DEFECTS, Behaviour, Defect
from reference.extent_map.page_behaviour import PAGE_DEFECTS, PageBehaviour

__all__ = ["ALL_DEFECTS", "STRUCTURES", "Half", "Structure", "Version", "corrected", "half_of", "having"]

Structure = Literal["radix", "rbtree"]
Half = Literal["trees", "pages"]

STRUCTURES: tuple[Structure, ...] = ("rbtree", "radix")
"""The versions, in the order in which a defect is hunted: schedules of the second are shorter."""

ALL_DEFECTS: tuple[Defect, ...] = (*DEFECTS, *PAGE_DEFECTS)
"""Of the trees, then of the pages."""

_HALF: dict[str, Half] = {
    **{defect.name: "trees" for defect in DEFECTS},
    **{defect.name: "pages" for defect in PAGE_DEFECTS},
}

_NEEDS = {"read_does_not_split_lock": ("set_without_prealloc",)}
"""Defects of the trees without which one of the pages does no harm: otherwise a completion that needs a state
gets one."""


class Version(NamedTuple):
    """What each half does."""

    trees: Behaviour
    pages: PageBehaviour


def half_of(defect: Defect) -> Half:
    """Return the half that has the defect."""
    return _HALF[defect.name]


def corrected(structure: Structure, defect: Defect | None = None) -> Version:
    """Return the corrected version; with `defect`, all but that are left in that it needs to do harm.

    >>> corrected("radix").trees == Behaviour.corrected_radix
    True
    """
    trees = Behaviour.corrected_radix if structure == "radix" else Behaviour.corrected_rbtree
    return Version(trees.having(*_NEEDS.get(defect.name if defect else "", ())), PageBehaviour.corrected)


def having(structure: Structure, defect: Defect) -> Version:
    """Return the corrected version with `defect` alone.

    >>> having("rbtree", ALL_DEFECTS[0]).trees.hole_insert_overlaps
    True
    """
    trees, pages = corrected(structure, defect)
    if half_of(defect) == "trees":
        return Version(trees.having(defect.name), pages)
    return Version(trees, pages.having(defect.name))
