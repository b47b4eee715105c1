"""Inserting a key: only the nodes on its path are remade."""

from __future__ import annotations

from repo.mst.errors import KeyExists
from repo.mst.key import key_height
from repo.mst.node import Link, Node, wrap
from repo.mst.search import Step, find_path
from repo.mst.store import NodeStore


def insert(store: NodeStore, root: bytes | Node, key: bytes, value: bytes) -> Node:
    """Return the root of the tree with `key` added. Raises `KeyExists`."""
    path, found = find_path(store, root, key)
    if found:
        raise KeyExists(key.decode())
    top_node = path[0].node
    height = key_height(key)
    if top_node.is_empty:
        return Node.single(key, value, height, None, None)
    # Each step is one layer, so the node of the key's layer, if any, is `depth` steps down.
    top = top_node.height
    depth = top - height
    if depth < 0:
        left, right = _split(path)
        layers = -depth - 1
        return Node.single(key, value, height, wrap(left, layers), wrap(right, layers))
    if depth < len(path):
        _, node, at = path[depth]
        left, right = _split(path[depth + 1 :])
        return rebuild(path[:depth], node.with_key(at, key, value, height, left, right))
    new = Node.single(key, value, height, None, None)
    return rebuild(path, wrap(new, depth - len(path)))


def rebuild(path: list[Step], below: Node) -> Node:
    """Remake every node of `path`, bottom up, above the new subtree. Return the new root."""
    for _, node, at in reversed(path):
        below = node.with_link(at, below)
    return below


def _split(path: list[Step]) -> tuple[Link, Link]:
    """Split the subtree with the search path `path` into the parts left and right of the key.

    A part from which nothing was cut keeps its link.
    """
    left: Link = None
    right: Link = None
    for link, node, at in reversed(path):
        if at == len(node.keys) and right is None:
            left = link
        elif at == 0 and left is None:
            right = link
        else:
            left, right = node.before(at, left), node.after(at, right)
    return left, right
