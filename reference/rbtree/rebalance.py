# SPDX-License-Identifier: GPL-2.0-or-later
"""The red-black tree of lib/rbtree.c: its shape decides which object survives a merge.

Insertion and removal rebalance as the kernel does, rotation by rotation, so that after the same history the
model's tree has the kernel's shape. The root hangs to the left of an `anchor`, which is also every missing
child: it is black, so no colour test needs a special case, and its `parent` is scratch that nothing reads.
"""

from __future__ import annotations

from typing import TypeVar

from reference.rbtree.extent import Extent

__all__ = ["erase", "rebalance_after_insert"]

N = TypeVar("N", bound=Extent)


def _replace_child(parent: N, old: N, new: N) -> None:
    if parent.left is old:
        parent.left = new
    else:
        parent.right = new


def _rotate_left(node: N) -> None:
    rising = node.right
    parent = node.parent
    node.right = rising.left
    rising.left.parent = node
    rising.left = node
    node.parent = rising
    rising.parent = parent
    _replace_child(parent, node, rising)


def _rotate_right(node: N) -> None:
    rising = node.left
    parent = node.parent
    node.left = rising.right
    rising.right.parent = node
    rising.right = node
    node.parent = rising
    rising.parent = parent
    _replace_child(parent, node, rising)


def rebalance_after_insert(anchor: N, node: N) -> int:
    """Restore the colour rules after `node` became a leaf (lib/rbtree.c, `__rb_insert`).

    Return the number of rotations.
    """
    node.red = True
    parent = node.parent
    while parent.red:
        grand = parent.parent
        on_left = parent is grand.left
        uncle = grand.right if on_left else grand.left
        if not uncle.red:
            return _rotate_red_pair(grand, parent, node, on_left)
        parent.red = uncle.red = False
        grand.red = True
        node = grand
        parent = node.parent
    anchor.left.red = False
    return 0


def _rotate_red_pair(grand: N, parent: N, node: N, on_left: bool) -> int:
    rotations = 1
    if on_left:
        if node is parent.right:
            _rotate_left(parent)
            parent = node
            rotations = 2
        _rotate_right(grand)
    else:
        if node is parent.left:
            _rotate_right(parent)
            parent = node
            rotations = 2
        _rotate_left(grand)
    parent.red = False
    grand.red = True
    return rotations


def erase(anchor: N, node: N) -> int:
    """Take `node` out of the tree (lib/rbtree.c, `rb_erase`).

    Needs `node.next` to be valid still. Return the number of rotations.
    """
    if node.left is not anchor and node.right is not anchor:
        return _erase_inner(anchor, node)
    parent = node.parent
    child = node.right if node.left is anchor else node.left
    _replace_child(parent, node, child)
    child.parent = parent
    if child is not anchor:
        child.red = node.red
    elif not node.red and parent is not anchor:
        return _rebalance_after_erase(anchor, parent)
    return 0


def _erase_inner(anchor: N, node: N) -> int:
    """Put the successor, which has no left child, into the place of a node with two children."""
    successor = node.next
    child = successor.right
    black_lost = not successor.red
    if successor is node.right:
        parent = successor
    else:
        parent = successor.parent
        parent.left = child
        child.parent = parent
        successor.right = node.right
        node.right.parent = successor
    successor.left = node.left
    node.left.parent = successor
    _replace_child(node.parent, node, successor)
    successor.parent = node.parent
    successor.red = node.red
    if child is not anchor:
        child.red = False
    elif black_lost:
        return _rebalance_after_erase(anchor, parent)
    return 0


def _rebalance_after_erase(anchor: N, parent: N) -> int:
    """Make up for one black node missing below `parent` (lib/rbtree.c, `____rb_erase_color`)."""
    node = anchor
    rotations = 0
    while True:
        # The sibling of a missing black node is never missing itself, so this tells the sides apart.
        on_left = node is not parent.right
        sibling = parent.right if on_left else parent.left
        if sibling.red:
            sibling = _raise_red_sibling(parent, sibling, on_left)
            rotations = 1
        if sibling.left.red or sibling.right.red:
            return rotations + _lend_from_sibling(parent, sibling, on_left)
        sibling.red = True
        if parent.red:
            parent.red = False
            return rotations
        node = parent
        parent = node.parent
        if parent is anchor:
            return rotations


def _raise_red_sibling(parent: N, sibling: N, on_left: bool) -> N:
    """Rotate the red `sibling` above `parent`; return the black one that takes its place."""
    sibling.red = False
    parent.red = True
    if on_left:
        _rotate_left(parent)
        return parent.right
    _rotate_right(parent)
    return parent.left


def _lend_from_sibling(parent: N, sibling: N, on_left: bool) -> int:
    rotations = 1
    if on_left:
        if not sibling.right.red:
            _rotate_right(sibling)
            sibling = parent.right
            rotations = 2
        _rotate_left(parent)
    else:
        if not sibling.left.red:
            _rotate_left(sibling)
            sibling = parent.left
            rotations = 2
        _rotate_right(parent)
    sibling.red = parent.red
    sibling.left.red = sibling.right.red = False
    return rotations
