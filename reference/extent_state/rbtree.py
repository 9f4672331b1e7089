# SPDX-License-Identifier: GPL-2.0-or-later
"""The red-black tree of lib/rbtree.c, kept because its shape decides which object survives a merge.

Insertion and removal rebalance as the kernel does, rotation by rotation, so that after the same history the
model's tree has the kernel's shape. The root hangs to the left of an `anchor`, which is also every missing
child: it is black, so no colour test needs a special case, and its `parent` is scratch that nothing reads.
"""

from __future__ import annotations

from reference.extent_state.state import ExtentState

__all__ = ["erase", "rebalance_after_insert"]


def _replace_child(parent: ExtentState, old: ExtentState, new: ExtentState) -> None:
    if parent.left is old:
        parent.left = new
    else:
        parent.right = new


def _rotate_left(node: ExtentState) -> None:
    rising = node.right
    parent = node.parent
    node.right = rising.left
    rising.left.parent = node
    rising.left = node
    node.parent = rising
    rising.parent = parent
    _replace_child(parent, node, rising)


def _rotate_right(node: ExtentState) -> None:
    rising = node.left
    parent = node.parent
    node.left = rising.right
    rising.right.parent = node
    rising.right = node
    node.parent = rising
    rising.parent = parent
    _replace_child(parent, node, rising)


def rebalance_after_insert(anchor: ExtentState, node: ExtentState) -> None:
    """Restore the colour rules after `node` became a leaf (lib/rbtree.c, `__rb_insert`)."""
    node.red = True
    parent = node.parent
    while parent.red:
        grand = parent.parent
        on_left = parent is grand.left
        uncle = grand.right if on_left else grand.left
        if not uncle.red:
            _rotate_red_pair(grand, parent, node, on_left)
            return
        parent.red = uncle.red = False
        grand.red = True
        node = grand
        parent = node.parent
    anchor.left.red = False


def _rotate_red_pair(grand: ExtentState, parent: ExtentState, node: ExtentState, on_left: bool) -> None:
    if on_left:
        if node is parent.right:
            _rotate_left(parent)
            parent = node
        _rotate_right(grand)
    else:
        if node is parent.left:
            _rotate_right(parent)
            parent = node
        _rotate_left(grand)
    parent.red = False
    grand.red = True


def erase(anchor: ExtentState, node: ExtentState) -> None:
    """Take `node` out of the tree (lib/rbtree.c, `rb_erase`). Needs `node.next` to be valid still."""
    if node.left is not anchor and node.right is not anchor:
        _erase_inner(anchor, node)
        return
    parent = node.parent
    child = node.right if node.left is anchor else node.left
    _replace_child(parent, node, child)
    child.parent = parent
    if child is not anchor:
        child.red = node.red
    elif not node.red and parent is not anchor:
        _rebalance_after_erase(anchor, parent)


def _erase_inner(anchor: ExtentState, node: ExtentState) -> None:
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
        _rebalance_after_erase(anchor, parent)


def _rebalance_after_erase(anchor: ExtentState, parent: ExtentState) -> None:
    """Make up for one black node missing below `parent` (lib/rbtree.c, `____rb_erase_color`)."""
    node = anchor
    while True:
        # The sibling of a missing black node is never missing itself, so this tells the sides apart.
        on_left = node is not parent.right
        sibling = _black_sibling(parent, on_left)
        if sibling.left.red or sibling.right.red:
            _lend_from_sibling(parent, sibling, on_left)
            return
        sibling.red = True
        if parent.red:
            parent.red = False
            return
        node = parent
        parent = node.parent
        if parent is anchor:
            return


def _black_sibling(parent: ExtentState, on_left: bool) -> ExtentState:
    sibling = parent.right if on_left else parent.left
    if not sibling.red:
        return sibling
    sibling.red = False
    parent.red = True
    if on_left:
        _rotate_left(parent)
        return parent.right
    _rotate_right(parent)
    return parent.left


def _lend_from_sibling(parent: ExtentState, sibling: ExtentState, on_left: bool) -> None:
    if on_left:
        if not sibling.right.red:
            _rotate_right(sibling)
            sibling = parent.right
        _rotate_left(parent)
    else:
        if not sibling.left.red:
            _rotate_left(sibling)
            sibling = parent.left
        _rotate_right(parent)
    sibling.red = parent.red
    sibling.left.red = sibling.right.red = False
